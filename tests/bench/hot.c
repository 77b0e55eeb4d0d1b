// SPDX-License-Identifier: GPL-2.0-only
/*
 * A TCG plugin of QEMU: how often each block of the guest's code ran between the marks
 * that inject.c's loop has around it. Arguments: out=FILE; a line a block there: its
 * address, instructions in it, runs. Debian has no header for plugins: what is used of
 * the interface's version 1 is declared here.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t id_t_;
struct tb;
struct insn;

void qemu_plugin_register_vcpu_tb_trans_cb(id_t_ id, void (*cb)(id_t_, struct tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct tb *tb, void (*cb)(unsigned int, void *),
					  int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct insn *insn,
					    void (*cb)(unsigned int, void *), int flags,
					    void *data);
void qemu_plugin_register_atexit_cb(id_t_ id, void (*cb)(id_t_, void *), void *data);
size_t qemu_plugin_tb_n_insns(const struct tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct tb *tb);
struct insn *qemu_plugin_tb_get_insn(const struct tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct insn *insn);
size_t qemu_plugin_insn_size(const struct insn *insn);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* nopl 0x776c6200(%rax), and likewise with 1 */
static const uint8_t mark[] = { 0x0f, 0x1f, 0x80, 0, 0x62, 0x6c, 0x77 };

struct block {
	struct block *next;
	uint64_t at, insns, runs;
};

static struct block *blocks;
static bool active;
static char out[4096];

static void ran(unsigned int cpu, void *data)
{
	struct block *b = data;

	(void)cpu;
	b->runs += active;
}

static void marked(unsigned int cpu, void *data)
{
	(void)cpu;
	active = data;
}

static void translated(id_t_ id, struct tb *tb)
{
	size_t i, n = qemu_plugin_tb_n_insns(tb);
	struct block *b = calloc(1, sizeof(*b));

	(void)id;
	b->at = qemu_plugin_tb_vaddr(tb);
	b->insns = n;
	b->next = blocks;
	blocks = b;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, ran, 0, b);
	for (i = 0; i < n; i++) {
		struct insn *insn = qemu_plugin_tb_get_insn(tb, i);
		const uint8_t *code = qemu_plugin_insn_data(insn);

		if (qemu_plugin_insn_size(insn) == sizeof(mark) &&
		    !memcmp(code, mark, 3) && !memcmp(code + 4, mark + 4, 3) && code[3] < 2)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, 0,
							       code[3] ? NULL : &active);
	}
}

static void ended(id_t_ id, void *data)
{
	FILE *file = fopen(out, "w");
	struct block *b;

	(void)id;
	(void)data;
	for (b = blocks; file && b; b = b->next)
		if (b->runs)
			fprintf(file, "%#llx %llu %llu\n", (unsigned long long)b->at,
				(unsigned long long)b->insns, (unsigned long long)b->runs);
	if (file)
		fclose(file);
}

__attribute__((visibility("default")))
int qemu_plugin_install(id_t_ id, const void *info, int argc, char **argv)
{
	int i;

	(void)info;
	for (i = 0; i < argc; i++)
		if (!strncmp(argv[i], "out=", 4))
			snprintf(out, sizeof(out), "%s", argv[i] + 4);
	if (!out[0])
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, ended, NULL);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * A TCG plugin of QEMU: which cache lines of the guest's kernel more than one processor uses
 * and at least one writes, between the marks that inject.c's loop has around it. A run is
 * over when each processor has had its own. Arguments: out=FILE, cpus=N; lines there, of run,
 * processor, cache line, the instruction's address, bytes from, reads, writes. Only lines
 * that are shared so are told of. Debian has no header for plugins: what is used of the
 * interface's version 1 is declared here.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t id_t_;
struct tb;
struct insn;

void qemu_plugin_register_vcpu_tb_trans_cb(id_t_ id, void (*cb)(id_t_, struct tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct insn *insn,
					    void (*cb)(unsigned int, void *), int flags,
					    void *data);
void qemu_plugin_register_vcpu_mem_cb(struct insn *insn,
				      void (*cb)(unsigned int, uint32_t, uint64_t, void *),
				      int flags, int rw, void *data);
bool qemu_plugin_mem_is_store(uint32_t info);
size_t qemu_plugin_tb_n_insns(const struct tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct tb *tb);
struct insn *qemu_plugin_tb_get_insn(const struct tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct insn *insn);
size_t qemu_plugin_insn_size(const struct insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct insn *insn);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

#define MEM_RW		3
#define CPUS		8
#define SLOTS		(1U << 20)
#define KERNEL		(1ULL << 63)	/* and above: with five levels of page tables, too */

/* nopl 0x776c6200(%rax), and likewise with 1 */
static const uint8_t mark[] = { 0x0f, 0x1f, 0x80, 0, 0x62, 0x6c, 0x77 };

/* What one instruction did to one word. */
struct use {
	uint64_t addr, insn;
	uint32_t reads, writes;
};

/* Its own thread's alone, but for the end of a run. */
static struct processor {
	struct use *uses;	/* hashed */
	unsigned int n;
	bool active, done;
} processors[CPUS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int cpus, run;
static FILE *file;

static void used(unsigned int cpu, uint32_t info, uint64_t addr, void *insn)
{
	struct processor *p = &processors[cpu % CPUS];
	uint64_t at = (uintptr_t)insn, i;

	if (!p->active || addr < KERNEL)
		return;
	for (i = (addr ^ at << 20) * 0x9e3779b97f4a7c15ULL >> 44;; i = (i + 1) % SLOTS) {
		struct use *u = &p->uses[i];

		if (!u->insn) {
			if (p->n++ > SLOTS / 2)
				abort();
			u->addr = addr;
			u->insn = at;
		}
		if (u->addr == addr && u->insn == at) {
			if (qemu_plugin_mem_is_store(info))
				u->writes++;
			else
				u->reads++;
			return;
		}
	}
}

static int by_address(const void *a, const void *b)
{
	const struct use *const *x = a, *const *y = b;

	return (*x)->addr < (*y)->addr ? -1 : (*x)->addr > (*y)->addr;
}

/* Uses of a line by several processors, one of which writes. */
static void tell_line(const struct use **uses, size_t n)
{
	bool written = false;
	unsigned int cpu, who = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		for (cpu = 0; cpu < cpus; cpu++)
			if (uses[i] >= processors[cpu].uses &&
			    uses[i] < processors[cpu].uses + SLOTS)
				who |= 1U << cpu;
		written |= uses[i]->writes;
	}
	if (!written || !(who & (who - 1)))
		return;
	for (i = 0; i < n; i++) {
		for (cpu = 0; cpu < cpus; cpu++)
			if (uses[i] >= processors[cpu].uses &&
			    uses[i] < processors[cpu].uses + SLOTS)
				break;
		fprintf(file, "%u %u %#llx %#llx %u %u %u\n", run, cpu,
			(unsigned long long)(uses[i]->addr & ~63ULL),
			(unsigned long long)uses[i]->insn, (unsigned int)(uses[i]->addr & 63),
			uses[i]->reads, uses[i]->writes);
	}
}

static void tell(void)
{
	const struct use **all;
	size_t n = 0, i, first;
	unsigned int cpu;

	for (cpu = 0; cpu < cpus; cpu++)
		n += processors[cpu].n;
	all = calloc(n + 1, sizeof(*all));
	for (n = 0, cpu = 0; cpu < cpus; cpu++)
		for (i = 0; i < SLOTS; i++)
			if (processors[cpu].uses[i].insn)
				all[n++] = &processors[cpu].uses[i];
	qsort(all, n, sizeof(*all), by_address);
	for (first = 0, i = 1; i <= n; i++)
		if (i == n || all[i]->addr >> 6 != all[first]->addr >> 6) {
			tell_line(all + first, i - first);
			first = i;
		}
	free(all);
	fflush(file);
	for (cpu = 0; cpu < cpus; cpu++) {
		memset(processors[cpu].uses, 0, SLOTS * sizeof(struct use));
		processors[cpu].n = 0;
		processors[cpu].done = false;
	}
	run++;
}

static void marked(unsigned int cpu, void *data)
{
	struct processor *p = &processors[cpu % CPUS];
	unsigned int i;

	p->active = data;
	if (data)
		return;
	pthread_mutex_lock(&lock);
	p->done = true;
	for (i = 0; i < cpus && processors[i].done; i++)
		;
	if (i == cpus)
		tell();
	pthread_mutex_unlock(&lock);
}

static void translated(id_t_ id, struct tb *tb)
{
	size_t i, n = qemu_plugin_tb_n_insns(tb);

	(void)id;
	if (qemu_plugin_tb_vaddr(tb) < KERNEL)
		return;
	for (i = 0; i < n; i++) {
		struct insn *insn = qemu_plugin_tb_get_insn(tb, i);
		const uint8_t *code = qemu_plugin_insn_data(insn);

		qemu_plugin_register_vcpu_mem_cb(insn, used, 0, MEM_RW,
						 (void *)(uintptr_t)
						 qemu_plugin_insn_vaddr(insn));
		if (qemu_plugin_insn_size(insn) == sizeof(mark) &&
		    !memcmp(code, mark, 3) && !memcmp(code + 4, mark + 4, 3) && code[3] < 2)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, 0,
							       code[3] ? NULL : &run);
	}
}

__attribute__((visibility("default")))
int qemu_plugin_install(id_t_ id, const void *info, int argc, char **argv)
{
	unsigned int cpu;
	int i;

	(void)info;
	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			file = fopen(argv[i] + 4, "w");
		else if (!strncmp(argv[i], "cpus=", 5))
			cpus = atoi(argv[i] + 5);
	}
	if (!file || !cpus || cpus > CPUS)
		return -1;
	for (cpu = 0; cpu < cpus; cpu++)
		processors[cpu].uses = calloc(SLOTS, sizeof(struct use));
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}

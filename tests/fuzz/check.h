/* SPDX-License-Identifier: GPL-2.0-only */
/* A property: what the fuzzers look for beside what the sanitizers see. */
#ifndef WLB_FUZZ_CHECK_H
#define WLB_FUZZ_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(property)                                                                            \
    do {                                                                                           \
        if (!(property)) {                                                                         \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #property);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif

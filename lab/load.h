// SPDX-License-Identifier: MIT
/*
 * load.h - what the parts of a lab guest's workload share
 */
#ifndef LAB_LOAD_H
#define LAB_LOAD_H

#include <stdint.h>

#define MAX_VCPUS 64
#define MAX_LINE  1024
#define MAX_WORDS 64

#define NS_PER_S  1000000000LL
#define NS_PER_MS 1000000LL

/* Shared by the control process, the burners and the holder, each number with one writer. */
struct board {
	uint64_t chunks[MAX_VCPUS]; /* of work, done since boot */
	long held_mib;
};

extern struct board *board;

int64_t load_now_ns(void);
void load_sleep_ns(int64_t ns);

/* Commands of the control port: their words without the first; they return the answer. */
const char *command_cpu(int n, char **arg);
const char *command_mem(int n, char **arg);
const char *command_ask(void);

/* load_cpu.c: how many vCPUs there are, up to MAX_VCPUS, and what one was told to use. */
int vcpu_count(void);
int vcpu_percent(int vcpu);

/* load_mem.c: milliseconds until the next mem_sample is due; -1: none is. */
int mem_sample_due_ms(void);
void mem_sample(void);

#endif

/*
 * options.h - what the command line asked for
 */
#ifndef HOST_OPTIONS_H
#define HOST_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/settings.h"
#include "policy/cpu.h"
#include "policy/mem.h"

/* What the command line asked for. */
struct options {
	const char *uri;           /* libvirt's connection URI */
	const char **guests;       /* --guests, each of them, then NULL; NULL: there is none */
	const struct cpuset *cpus; /* pCPUs for guests; NULL: all that are not isolated */
	bool allowed_found;  /* guests are kept inside the masks they are found with, too */
	bool place_unpinned; /* pin every vCPU that uses anything, however even they are */
	enum grain grain;
	uint64_t host_memory_kib;  /* treat the host as if it had this much; 0: what it has */
	uint64_t host_reserve_kib; /* kept for the host; 0: by its size */
	double overcommit;         /* guests may be promised this many times what there is */
	bool surplus_to_guests;    /* memory nobody needs is the guests', not the host's */
	const char *runtime_dir;   /* for state and locks; NULL: there is none */
	const char *metrics;       /* write figures for Prometheus to this file; NULL: do not */
	double cpu_interval_s;     /* 0: the loop does not run */
	double mem_interval_s;     /* 0: the loop does not run */
	bool dry_run;              /* decide and explain, change nothing */
	bool once;                 /* end after one decision */
	bool restore;              /* put masks back when ending */
	int verbosity;             /* the least important log_priority, from LOG_PRIO_INFO on */
	int log_format;            /* an enum log_format */
	bool help, version;        /* show that and end */
	struct cpu_tunables cpu_tune;
	struct mem_tunables mem_tune;
};

/* Of an initializer of struct options: without it no policy works. */
#define OPTIONS_TUNABLES .cpu_tune = CPU_TUNABLES_DEFAULT, .mem_tune = MEM_TUNABLES_DEFAULT

extern const char *const grain_words[]; /* of --grain, by enum grain */

/* Sets s to its rows, and opt to their defaults.  -1: out of memory. */
int options_open(struct settings *s, struct options *opt);

/*
 * Reads the options of the command line.  Returns where they end, at the first argument, at
 * --help or at --version; -1: error says in a line what is wrong.
 */
int options_parse(struct settings *s, int argc, char **argv, char *error, size_t size);

#endif

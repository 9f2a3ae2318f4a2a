/*
 * qemu.c - what the local kernel tells of guests' QEMU processes.
 *
 * Libvirt does not say which process a guest is.  It starts QEMU with the guest's UUID and with
 * named threads, and both are for everybody to read in /proc, unless it is mounted with
 * hidepid.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/limits.h"
#include "host/proc.h"
#include "host/qemu.h"
#include "lib/array.h"
#include "lib/uuid.h"
#include "policy/sample.h"

#define ARGS_MAX (4UL << 20) /* bytes: more than the kernel lets a program be started with */
#define ARG_LEN  64          /* bytes: more than "-uuid" and a UUID; a longer one is cut */
#define PATH_LEN 512         /* bytes: below /proc */
#define NAME_LEN 32          /* bytes: twice the kernel's name of a thread */
#define LINE_LEN 4096        /* bytes: a line of status; one that is longer is none of ours */

static FILE *qemu_open(pid_t pid, const char *file)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "%s/%ld/%s", proc_root(), (long)pid, file);
	return fopen(path, "re");
}

static bool next_arg(FILE *f, char *arg, size_t len, size_t *left)
{
	size_t n = 0;
	int c = getc(f);

	if (c == EOF)
		return false;
	for (; c > 0 && *left > 0; c = getc(f), (*left)--)
		if (n < len - 1)
			arg[n++] = (char)c;
	arg[n] = '\0';
	return *left > 0;
}

/* The UUID that a process was started for.  -1: for none. */
static int cmdline_uuid(pid_t pid, unsigned char *uuid)
{
	FILE *f = qemu_open(pid, "cmdline");
	char arg[ARG_LEN];
	size_t left = ARGS_MAX;
	int result = -1;

	if (!f)
		return -1;
	while (next_arg(f, arg, sizeof(arg), &left)) {
		if (strcmp(arg, "-uuid"))
			continue;
		if (next_arg(f, arg, sizeof(arg), &left))
			result = uuid_parse(arg, uuid);
		break;
	}
	fclose(f);
	return result;
}

bool qemu_is(pid_t pid, const unsigned char *uuid)
{
	unsigned char its[UUID_LEN];

	return cmdline_uuid(pid, its) == 0 && memcmp(its, uuid, UUID_LEN) == 0;
}

/* ---- threads ---- */

static DIR *threads_open(pid_t pid)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "%s/%ld/task", proc_root(), (long)pid);
	return opendir(path);
}

/* The next process or thread of a directory of them; 0: there is none. */
static pid_t next_id(DIR *dir)
{
	struct dirent *e;

	while ((e = readdir(dir)))
		if (isdigit((unsigned char)e->d_name[0]))
			return (pid_t)strtol(e->d_name, NULL, 10);
	return 0;
}

static void thread_name(pid_t pid, pid_t thread, char *name, int len)
{
	char file[64];
	FILE *f;

	name[0] = '\0';
	snprintf(file, sizeof(file), "task/%ld/comm", (long)thread);
	f = qemu_open(pid, file);
	if (!f)
		return;
	if (fgets(name, len, f))
		name[strcspn(name, "\n")] = '\0';
	fclose(f);
}

/* A script that started QEMU has the same arguments, but no vCPUs. */
static bool has_vcpus(pid_t pid)
{
	DIR *threads = threads_open(pid);
	bool found = false;
	pid_t thread;

	while (threads && !found && (thread = next_id(threads))) {
		char name[NAME_LEN];

		thread_name(pid, thread, name, sizeof(name));
		found = strncmp(name, "CPU ", 4) == 0 || strncmp(name, "ALL CPUs/", 9) == 0;
	}
	if (threads)
		closedir(threads);
	return found;
}

/* The vCPU that a thread runs.  -1: none, or all of them in turn. */
static int thread_vcpu(const char *name, unsigned *number)
{
	char kind[4];

	if (sscanf(name, "CPU %u/%3s", number, kind) != 2)
		return -1;
	return strcmp(kind, "KVM") && strcmp(kind, "TCG") ? -1 : 0;
}

/* How long a thread has been ready to run and did not.  -1: this kernel does not count. */
static int thread_wait(pid_t pid, pid_t thread, uint64_t *wait_ns)
{
	char file[64];
	unsigned long long run = 0, wait = 0;
	FILE *f;

	snprintf(file, sizeof(file), "task/%ld/schedstat", (long)thread);
	f = qemu_open(pid, file);
	if (!f)
		return -1;
	if (fscanf(f, "%llu %llu", &run, &wait) != 2)
		run = 0;
	fclose(f);
	if (run == 0)
		return -1;
	*wait_ns = wait;
	return 0;
}

void qemu_waits(pid_t pid, struct vcpu_count *vcpu, size_t n)
{
	DIR *threads = threads_open(pid);
	unsigned number;
	pid_t thread;

	while (threads && (thread = next_id(threads))) {
		char name[NAME_LEN];

		thread_name(pid, thread, name, sizeof(name));
		if (thread_vcpu(name, &number) < 0)
			continue;
		for (size_t i = 0; i < n; i++)
			if (vcpu[i].number == number)
				thread_wait(pid, thread, &vcpu[i].wait_ns);
	}
	if (threads)
		closedir(threads);
}

/* ---- all of them ---- */

/* Everybody may read the first process's arguments, unless other users' are hidden. */
static bool others_hidden(void)
{
	FILE *f = qemu_open(1, "cmdline");

	if (f)
		fclose(f);
	return !f;
}

static int qemu_add(struct qemus *all, pid_t pid)
{
	struct qemu q = { .pid = pid };

	if (cmdline_uuid(pid, q.uuid) < 0 || !has_vcpus(pid))
		return 0;
	if (array_reserve(&all->qemu, &all->cap, all->n + 1, sizeof(q)) < 0)
		return -1;
	all->qemu[all->n++] = q;
	return 0;
}

int qemus_read(struct qemus *all)
{
	DIR *processes = opendir(proc_root());
	int result = 0;
	pid_t pid;

	all->n = 0;
	if (!processes)
		return -1;
	all->hidden = others_hidden();
	while (result == 0 && (pid = next_id(processes)))
		result = qemu_add(all, pid);
	closedir(processes);
	return result;
}

pid_t qemu_pid(const struct qemus *all, const unsigned char *uuid)
{
	pid_t pid = 0;

	for (size_t i = 0; i < all->n; i++) {
		if (memcmp(all->qemu[i].uuid, uuid, UUID_LEN))
			continue;
		if (pid)
			return 0;
		pid = all->qemu[i].pid;
	}
	return pid || !all->hidden ? pid : QEMU_HIDDEN;
}

/* ---- what its memory is ---- */

/* Memory that is encrypted is pinned, which the counters of a process do not show. */
static bool is_confidential(const char *object)
{
	static const char *const kinds[] = { "sev-guest", "sev-snp-guest", "tdx-guest",
					     "s390-pv-guest" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strstr(object, kinds[i]))
			return true;
	return false;
}

/* Whether one of its objects protects its memory from the host.  -1: it cannot be told. */
static int has_confidential(pid_t pid)
{
	FILE *f = qemu_open(pid, "cmdline");
	char arg[ARG_LEN];
	size_t left = ARGS_MAX;
	bool found = false;

	if (!f)
		return -1;
	while (!found && next_arg(f, arg, sizeof(arg), &left))
		found = strcmp(arg, "-object") == 0 && next_arg(f, arg, sizeof(arg), &left) &&
			is_confidential(arg);
	fclose(f);
	return found;
}

int qemu_memory_kind(pid_t pid, bool *locked, uint64_t *huge_kib)
{
	FILE *f = qemu_open(pid, "status");
	int confidential = has_confidential(pid), found = 0;
	unsigned long long lck_kib = 0, pin_kib = 0, pages_kib = 0;
	char line[LINE_LEN];

	while (f && fgets(line, sizeof(line), f)) {
		found += sscanf(line, "VmLck: %llu kB", &lck_kib) == 1;
		found += sscanf(line, "VmPin: %llu kB", &pin_kib) == 1;
		found += sscanf(line, "HugetlbPages: %llu kB", &pages_kib) == 1;
	}
	if (f)
		fclose(f);
	if (found != 3 || confidential < 0)
		return -1;
	if (!confidential && pages_kib == 0 && lck_kib + pin_kib > 0 &&
	    (double)(lck_kib + pin_kib) < limit.locked_kib)
		return -1;
	*locked = confidential || lck_kib + pin_kib > 0;
	*huge_kib = pages_kib;
	return 0;
}

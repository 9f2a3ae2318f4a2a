/*
 * process.c - where no XML is read, what memory is the kernel tells of each guest's process: so
 * each guest has one, in a directory that stands for /proc.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/proc.h"
#include "lib/xml.h"
#include "loop/state.h"
#include "tests/fake/fake.h"

static char dir[32];

static FILE *put(unsigned pid, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%u/%s", dir, pid, name);
	return fopen(path, "we");
}

/* Its threads' names are in folders of their own. */
static void folders(unsigned pid)
{
	static const char *const below[] = { "", "/task", "/task/1" };
	char path[128];

	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
		snprintf(path, sizeof(path), "%s/%u%s", dir, pid, below[i]);
		mkdir(path, 0755);
	}
}

void fake_processes(void)
{
	static bool cleans;

	if (xml_is_read() || strcmp(proc_root(), FAKE_NO_PROC)) /* or the test has its own */
		return;
	strcpy(dir, "/tmp/vmbal-fake-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	fake_proc_root(dir);
	if (!cleans)
		cleans = atexit(fake_processes_end) ==
			 0; /* a test that fails does not end a host */
}

void fake_processes_end(void)
{
	char command[64];

	if (!dir[0])
		return;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		abort();
	dir[0] = '\0';
	fake_proc_root(FAKE_NO_PROC);
}

void fake_process(unsigned guest, const unsigned char *uuid)
{
	unsigned pid = guest + 100;
	FILE *f;

	if (!dir[0])
		return;
	folders(pid);
	f = put(pid, "task/1/comm");
	fputs("CPU 0/KVM\n", f);
	fclose(f);
	f = put(pid, "status");
	fputs("VmLck:\t0 kB\nVmPin:\t0 kB\nHugetlbPages:\t0 kB\n", f);
	fclose(f);
	f = put(pid, "cmdline");
	fprintf(f, "-uuid%c", 0);
	uuid_print(f, uuid);
	fputc('\0', f);
	fclose(f);
}

/*
 * cgroup.c - the pCPUs that a guest's cgroup leaves it.
 *
 * Libvirt puts each thread of a guest into a group of its own, .../SCOPE/vcpu0 or emulator, and
 * writes masks there.  What it may write is for SCOPE and the groups above to say: theirs is
 * AllowedCPUs= of machine.slice, a partition of the administrator, what is left of it while
 * pCPUs are offline.
 *
 *	v1	.../cpuset/PATH/cpuset.effective_cpus, or cpuset.cpus before Linux 3.17
 *	v2	.../PATH/cpuset.cpus.effective, where the controller is turned on
 */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "host/cgroup.h"
#include "host/proc.h"
#include "host/shape.h"
#include "lib/cpuset.h"

/* Is "cpuset" among the controllers "cpu,cpuacct", which end with a colon? */
static bool has_cpuset(const char *controllers)
{
	size_t len = strcspn(controllers, ",:");

	if (len == strlen("cpuset") && strncmp(controllers, "cpuset", len) == 0)
		return true;
	return controllers[len] == ',' && has_cpuset(controllers + len + 1);
}

/* A line "ID:CONTROLLERS:PATH".  False: it is of a hierarchy that limits no pCPUs. */
static bool line_group(char *line, char *path, bool *v1)
{
	char *controllers = strchr(line, ':');
	char *group = controllers ? strchr(controllers + 1, ':') : NULL;
	char *end = strchr(line, '\n');

	if (!group || !end || group[1] != '/')
		return false;
	*v1 = has_cpuset(controllers + 1);
	if (!*v1 && strncmp(line, "0::", 3) != 0)
		return false;
	*end = '\0';
	snprintf(path, PATH_MAX, "%s", group + 1);
	return true;
}

/* The group of a process, of v2 only where v1 has no cpusets.  -1: it is not shown. */
static int group_read(pid_t pid, char *path, bool *v1)
{
	char line[PATH_MAX + 64], name[PATH_MAX];
	bool found = false;
	FILE *f;

	snprintf(name, sizeof(name), "%s/%ld/cgroup", proc_root(), (long)pid);
	f = fopen(name, "re");
	if (!f)
		return -1;
	while (!(found && *v1) && fgets(line, sizeof(line), f))
		found |= line_group(line, path, v1);
	fclose(f);
	/* Out of the view of a container: what is above is not where it seems to be. */
	return found && !strstr(path, "/..") ? 0 : -1;
}

static bool is_numbered(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(name, prefix, len) == 0 && isdigit((unsigned char)name[len]) &&
	       name[len + strspn(name + len, "0123456789")] == '\0';
}

/* From the group of threads, in which libvirt keeps the mask that they have, to the guest's. */
static void threads_strip(char *path)
{
	char *name = strrchr(path, '/') + 1;

	if (strcmp(name, "emulator") == 0 || is_numbered(name, "vcpu") ||
	    is_numbered(name, "iothread"))
		name[-1] = '\0';
}

static int cpus_read(const char *path, bool v1, struct cpuset *out)
{
	static const char *const files[2][2] = { { "cpuset.cpus.effective", NULL },
						 { "cpuset.effective_cpus", "cpuset.cpus" } };
	char name[2 * PATH_MAX];

	for (int i = 0; i < 2 && files[v1][i]; i++) {
		snprintf(name, sizeof(name), "%s%s%s/%s", proc_cgroups(), v1 ? "/cpuset" : "",
			 path, files[v1][i]);
		if (shape_read_list(name, out) == 0)
			return 0;
	}
	return -1;
}

/* A group without the file has what the nearest one above it has. */
int cgroup_cpus(pid_t pid, struct cpuset *out)
{
	char path[PATH_MAX];
	bool v1 = false;

	if (group_read(pid, path, &v1) < 0)
		return -1;
	threads_strip(path);
	while (cpus_read(path, v1, out) < 0) {
		char *last = strrchr(path, '/');

		if (!last)
			return -1;
		*last = '\0';
	}
	return 0;
}

/*
 * runtime.c - the runtime directory: which one, what may be trusted in it, who else runs.
 *
 * Root may work in the directory of a service's user.  So nothing in there is followed that is
 * a link, and what root makes there is given to the directory's owner.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/log.h"
#include "host/runtime.h"

#define URI_NAME_MAX 200 /* bytes: leaves room for a suffix in a file name */
#define OTHERS_WRITE (S_IWGRP | S_IWOTH)

/* Where it should be; NULL: this user has none. */
static const char *dir_name(char *path, size_t len)
{
	const char *given = getenv("RUNTIME_DIRECTORY"); /* by systemd: may be a list */
	const char *user = getenv("XDG_RUNTIME_DIR");

	if (given && *given)
		snprintf(path, len, "%.*s", (int)strcspn(given, ":"), given);
	else if (geteuid() == 0)
		snprintf(path, len, "/run/vmbal");
	else if (user && *user)
		snprintf(path, len, "%s/vmbal", user);
	else
		return NULL;
	return path;
}

int runtime_dir(char *path, size_t len, char *error, size_t error_len)
{
	struct stat st;

	if (!dir_name(path, len)) {
		snprintf(error, error_len, "XDG_RUNTIME_DIR is not set");
		return -1;
	}
	if ((mkdir(path, 0755) && errno != EEXIST) || stat(path, &st) ||
	    access(path, W_OK | X_OK)) {
		snprintf(error, error_len, "%s: %s", path, strerror(errno));
		return -1;
	}
	if ((st.st_mode & OTHERS_WRITE) || (geteuid() != 0 && st.st_uid != geteuid())) {
		snprintf(error, error_len, "%s: others can write to it", path);
		return -1;
	}
	return 0;
}

/* Percent-encoded, so that no two URIs share a name. */
int runtime_path(const char *dir, const char *uri, const char *suffix, char *path, size_t len)
{
	char name[URI_NAME_MAX + 4] = "";
	size_t used = 0;

	for (; *uri && used <= URI_NAME_MAX; uri++) {
		bool plain = isalnum((unsigned char)*uri) || strchr("+-_.:=@", *uri);

		used += (size_t)snprintf(name + used, sizeof(name) - used,
					 plain ? "%c" : "%%%02X", (unsigned char)*uri);
	}
	if (used > URI_NAME_MAX ||
	    snprintf(path, len, "%s/%s.%s", dir, name, suffix) >= (int)len) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

static int dir_stat(const char *path, struct stat *st)
{
	char dir[RUNTIME_PATH_LEN];

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	return stat(dir, st);
}

/* A new file: -1 where there is one. */
static int create(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	struct stat dir;

	if (fd >= 0 && dir_stat(path, &dir) == 0 && dir.st_uid != geteuid() &&
	    fchown(fd, dir.st_uid, dir.st_gid)) {
		/* then its owner cannot use it, and says so */
	}
	return fd;
}

static int write_new(const char *path, void (*print)(FILE *, const void *), const void *arg)
{
	int fd = create(path), bad;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	print(f, arg);
	bad = ferror(f);
	return fclose(f) || bad ? -1 : 0;
}

int runtime_replace(const char *path, void (*print)(FILE *, const void *), const void *arg)
{
	char temp[RUNTIME_PATH_LEN + 8];

	snprintf(temp, sizeof(temp), "%s.new", path);
	unlink(temp); /* of a crash */
	return write_new(temp, print, arg) < 0 || rename(temp, path) ? -1 : 0;
}

/* Why what was opened is not to be trusted; NULL: it may be. */
static const char *distrust(int fd, const char *path, size_t max)
{
	struct stat st, dir;

	if (fstat(fd, &st) || dir_stat(path, &dir))
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "it is no regular file";
	if (st.st_uid != 0 && st.st_uid != geteuid() && st.st_uid != dir.st_uid)
		return "it belongs to another user";
	if (st.st_mode & OTHERS_WRITE)
		return "others can write to it";
	return (size_t)st.st_size > max ? "it is too large" : NULL;
}

/* Up to max bytes; it can have grown since it was looked at. */
static const char *read_all(int fd, size_t max, char **text, size_t *len)
{
	char *buf = malloc(max + 1);
	size_t used = 0;
	ssize_t got = 1;

	while (buf && got > 0 && used <= max) {
		got = read(fd, buf + used, max + 1 - used);
		used += got > 0 ? (size_t)got : 0;
	}
	if (!buf || got < 0 || used > max) {
		free(buf);
		return used > max ? "it is too large" : strerror(errno);
	}
	*text = buf;
	*len = used;
	return NULL;
}

const char *runtime_read(const char *path, size_t max, char **text, size_t *len)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	const char *error;

	if (fd < 0)
		return errno == ELOOP ? "it is a symbolic link" : strerror(errno);
	error = distrust(fd, path, max);
	if (!error)
		error = read_all(fd, max, text, len);
	close(fd);
	return error;
}

/* ---- who else runs ---- */

/*
 * A lock on a byte of a file: the kernel knows whose it is and ends it with the process.  It
 * would also end when we close the file, so that stays open.
 */
int runtime_lock(const char *path, unsigned byte, pid_t *holder)
{
	static int fd = -1;
	struct flock lock = { .l_type = F_WRLCK, .l_start = byte, .l_len = 1 }, other = lock;

	if (fd < 0)
		fd = create(path);
	if (fd < 0 && errno == EEXIST)
		fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	while (fcntl(fd, F_SETLK, &lock)) {
		if ((errno != EACCES && errno != EAGAIN) || fcntl(fd, F_GETLK, &other))
			return -1;
		if (other.l_type == F_UNLCK) /* just ended */
			continue;
		*holder = other.l_pid;
		return 1;
	}
	return 0;
}

/* Others that do the same work. */
static void warn_of(const char *comm)
{
	static const char *const rivals[][2] = {
		{ "numad", "places guests' vCPUs and memory" },
		{ "momd", "moves balloons" },
		{ "vdsmd", "moves balloons and vCPUs" },
	};

	for (size_t i = 0; i < sizeof(rivals) / sizeof(rivals[0]); i++)
		if (strcmp(rivals[i][0], comm) == 0)
			log_msg(LOG_PRIO_WARNING,
				"%s runs on this host and %s, too: the two will undo each "
				"other's work",
				rivals[i][0], rivals[i][1]);
}

void runtime_warn_rivals(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;

	while (proc && (e = readdir(proc))) {
		char path[sizeof(e->d_name) + 16], comm[32] = "";
		FILE *f;

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(comm, sizeof(comm), f))
			comm[strcspn(comm, "\n")] = '\0';
		fclose(f);
		warn_of(comm);
	}
	if (proc)
		closedir(proc);
}

/*
 * log.c - one line, one write, to stderr.
 *
 * Under journald (JOURNAL_STREAM names our stderr) a line carries its priority as "<N>"
 * and no time, since the journal adds its own; elsewhere it carries the local time.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vmbal.h"

#define LINE_LEN 1024 /* bytes; a longer message is cut, its newline kept */
#define WAIT_MS  100  /* for a reader of stderr that is slow */

static enum log_priority log_limit = LOG_PRIO_INFO;
static bool under_journald;
static char file_path[RUNTIME_PATH_LEN]; /* of the file that stderr is; empty: it is none */

static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2 ||
	    fstat(STDERR_FILENO, &st))
		return false;
	return st.st_dev == dev && st.st_ino == ino;
}

static void file_learn(void)
{
	struct stat st;
	ssize_t n;

	if (fstat(STDERR_FILENO, &st) || !S_ISREG(st.st_mode))
		return;
	n = readlink("/proc/self/fd/2", file_path, sizeof(file_path));
	file_path[n > 0 && (size_t)n < sizeof(file_path) ? n : 0] = '\0';
}

void log_init(enum log_priority limit)
{
	log_limit = limit;
	under_journald = stderr_is_journal();
	file_learn();
}

/* Of a file only, not through a link: file_path is the name found in the end. */
int log_reopen(void)
{
	struct stat st;
	int fd, result = -1;

	if (!file_path[0])
		return 0;
	fd = open(file_path,
		  O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		result = dup2(fd, STDERR_FILENO) < 0 ? -1 : 0;
	else
		errno = EINVAL;
	close(fd);
	return result;
}

static size_t log_prefix(char *line, size_t len, enum log_priority priority)
{
	time_t now = time(NULL);
	struct tm tm;
	int n = 0;

	if (under_journald)
		n = snprintf(line, len, "<%d>", (int)priority);
	else if (localtime_r(&now, &tm))
		n = (int)strftime(line, len, "%H:%M:%S ", &tm);
	return n > 0 ? (size_t)n : 0;
}

/*
 * Writes one line, or drops it where nobody reads: a full pipe must not hold up a loop, or the
 * end.  Once a line was dropped the next ones do not wait.
 */
static void line_write(const char *line, size_t len)
{
	static atomic_bool dropping;
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
	int ready = poll(&out, 1, dropping ? 0 : WAIT_MS);

	dropping = ready == 0;
	if (ready && write(STDERR_FILENO, line, len) < 0) {
		/* there is nowhere left to say so */
	}
}

void log_msg(enum log_priority priority, const char *fmt, ...)
{
	int saved = errno;
	char line[LINE_LEN];
	size_t used;
	va_list ap;
	int n;

	if (priority > log_limit)
		return;
	used = log_prefix(line, sizeof(line), priority);
	va_start(ap, fmt);
	n = vsnprintf(line + used, sizeof(line) - used - 1, fmt, ap);
	va_end(ap);
	if (n > 0)
		used += (size_t)n < sizeof(line) - used - 1 ? (size_t)n
							    : sizeof(line) - used - 2;
	for (size_t i = 0; i < used; i++) /* a guest's metadata must not forge lines */
		if (iscntrl((unsigned char)line[i]))
			line[i] = ' ';
	line[used++] = '\n';
	line_write(line, used);
	errno = saved;
}

void log_change(bool *is_bad, bool bad, const char *what, const char *detail)
{
	if (*is_bad == bad)
		return;
	*is_bad = bad;
	if (bad)
		log_msg(LOG_PRIO_WARNING, "%s: %s", what, detail);
	else
		log_msg(LOG_PRIO_NOTICE, "%s: back to normal", what);
}

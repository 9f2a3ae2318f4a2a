/*
 * log.c - one line, one write, to stderr.
 *
 * A line of text carries the local time, with its zone.  Under journald (JOURNAL_STREAM names
 * our stderr), which adds its own time, a message goes to it with its fields; where it takes
 * none, as a line that carries its priority as "<N>".
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

#include "host/limits.h"
#include "host/log.h"
#include "host/log_record.h"
#include "host/runtime.h"
#include "lib/units.h"

#define LINE_LEN 1024 /* bytes; a longer message is cut, its newline kept */
#define JSON_LEN 4096 /* bytes: what a pipe takes as a whole */
#define TIME_LEN 40   /* bytes */

static enum log_priority log_limit = LOG_PRIO_INFO;
static enum log_format log_format;
static bool under_journald;
static bool journal_has_socket;          /* stderr is journald's own, not a pipe to it */
static char file_path[RUNTIME_PATH_LEN]; /* of the file that stderr is; empty: it is none */

static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2 ||
	    fstat(STDERR_FILENO, &st))
		return false;
	journal_has_socket = S_ISSOCK(st.st_mode);
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

void log_init(enum log_priority least)
{
	log_limit = least;
	under_journald = stderr_is_journal();
	file_learn();
}

bool log_wants(enum log_priority priority)
{
	return priority <= log_limit;
}

void log_set_format(enum log_format format)
{
	log_format = format;
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

/* As RFC 3339 has it: "2026-11-26T07:00:31+01:00". */
static void time_text(char *text, size_t size)
{
	time_t now = time(NULL);
	struct tm tm;
	char zone[8] = "";
	size_t used;

	text[0] = '\0';
	if (!localtime_r(&now, &tm) || strftime(zone, sizeof(zone), "%z", &tm) != 5)
		return;
	used = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + used, size - used, "%.3s:%s", zone, zone + 3);
}

/*
 * Writes one line, or drops it where nobody reads: a full pipe must not hold up a loop, or the
 * end.  Once a line was dropped the next ones do not wait.
 */
static void line_write(const char *line, size_t len)
{
	static atomic_bool dropping;
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
	int ready = poll(&out, 1, dropping ? 0 : (int)(limit.reader_s * MS_PER_S));

	dropping = ready == 0;
	if (ready && write(STDERR_FILENO, line, len) < 0) {
		/* there is nowhere left to say so */
	}
}

/* "<6>": journald takes it off the line again. */
static size_t priority_text(char *text, size_t size, const struct log_record *r)
{
	return (size_t)snprintf(text, size, "<%d>", (int)r->priority);
}

/* Returns its length, without a newline; a message that does not fit is cut. */
static size_t text_line(char *line, size_t size, const struct log_record *r)
{
	size_t used = 0;

	if (size > LINE_LEN - 1)
		size = LINE_LEN - 1;
	if (under_journald)
		used = priority_text(line, size, r);
	else if (r->time[0])
		used = (size_t)snprintf(line, size, "%s ", r->time);
	used += (size_t)snprintf(line + used, size - used, "%s", r->message);
	return used < size ? used : size - 1;
}

static size_t json_line(char *line, size_t size, const struct log_record *r)
{
	size_t used = under_journald ? priority_text(line, size, r) : 0;

	return used + log_json(line + used, size - used, r);
}

static size_t (*const line_of[LOG_FORMAT_COUNT])(char *line, size_t size,
						 const struct log_record *r) = {
	[LOG_TEXT] = text_line,
	[LOG_JSON] = json_line,
};

static void record_write(const struct log_record *r)
{
	char line[JSON_LEN];
	size_t used;

	if (log_format == LOG_TEXT && under_journald && journal_has_socket &&
	    log_journal(log_journal_socket, r) == 0)
		return;
	used = line_of[log_format](line, sizeof(line) - 1, r);
	line[used++] = '\n';
	line_write(line, used);
}

/* A guest's metadata must not forge lines. */
static void clean(char *s)
{
	for (; *s; s++)
		if (iscntrl((unsigned char)*s))
			*s = ' ';
}

__attribute__((format(printf, 5, 0))) static void say(enum log_priority priority,
						      const struct log_field *field, size_t n,
						      const char *prefix, const char *fmt,
						      va_list ap)
{
	int saved = errno;
	char message[LINE_LEN], time[TIME_LEN];
	size_t used;

	if (!log_wants(priority))
		return;
	used = (size_t)snprintf(message, sizeof(message), "%s", prefix);
	if (used < sizeof(message))
		vsnprintf(message + used, sizeof(message) - used, fmt, ap);
	clean(message);
	time_text(time, sizeof(time));
	record_write(&(struct log_record){ .priority = priority,
					   .time = time,
					   .message = message,
					   .field = field,
					   .n = n });
	errno = saved;
}

void log_msg(enum log_priority priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(priority, NULL, 0, "", fmt, ap);
	va_end(ap);
}

void log_fields(enum log_priority priority, const struct log_field *field, size_t n,
		const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(priority, field, n, "", fmt, ap);
	va_end(ap);
}

void log_guest(enum log_priority priority, const char *guest, const char *fmt, ...)
{
	const struct log_field field = { .name = "guest", .text = guest };
	char prefix[LINE_LEN];
	va_list ap;

	snprintf(prefix, sizeof(prefix), "%s: ", guest);
	va_start(ap, fmt);
	say(priority, &field, 1, prefix, fmt, ap);
	va_end(ap);
}

void log_change(bool *is_bad, bool bad, const char *what, const char *detail)
{
	log_guest_change(is_bad, bad, NULL, what, detail);
}

void log_guest_change(bool *is_bad, bool bad, const char *guest, const char *what,
		      const char *detail)
{
	const struct log_field field = { .name = "guest", .text = guest };

	if (*is_bad == bad)
		return;
	*is_bad = bad;
	log_fields(bad ? LOG_PRIO_WARNING : LOG_PRIO_NOTICE, &field, guest ? 1 : 0, "%s: %s",
		   what, bad ? detail : "back to normal");
}

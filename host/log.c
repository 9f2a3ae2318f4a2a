/*
 * log.c - one line, one write, to stderr.
 *
 * Under journald (JOURNAL_STREAM names our stderr) a line carries its priority as "<N>"
 * and no time, since the journal adds its own; elsewhere it carries the local time.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vmbal.h"

#define LINE_LEN 1024 /* bytes; a longer message is cut, its newline kept */

static enum log_priority log_limit = LOG_PRIO_INFO;
static bool under_journald;

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

void log_init(enum log_priority limit)
{
	log_limit = limit;
	under_journald = stderr_is_journal();
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
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0) {
		/* there is nowhere left to say so */
	}
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

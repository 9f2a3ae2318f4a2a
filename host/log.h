/*
 * log.h - the only writer of stderr
 */
#ifndef HOST_LOG_H
#define HOST_LOG_H

#include <stdbool.h>
#include <stddef.h>

/* As in sd-daemon(3). */
enum log_priority {
	LOG_PRIO_ERR = 3,
	LOG_PRIO_WARNING = 4,
	LOG_PRIO_NOTICE = 5,
	LOG_PRIO_INFO = 6,
	LOG_PRIO_DEBUG = 7,
};

/* What a line looks like: code, and the word of the option. */
#define LOG_FORMATS(ROW) ROW(LOG_TEXT, "text") ROW(LOG_JSON, "json")
#define LOG_FORMAT_CODE(code, word) code,
enum log_format { LOG_FORMATS(LOG_FORMAT_CODE) LOG_FORMAT_COUNT };

/* A figure or a word that a message tells, for programs: its unit, if any, ends its name. */
struct log_field {
	const char *name;
	const char *text; /* NULL: it is a number */
	double number;
};

#define LOG_FIELDS(array) (array), sizeof(array) / sizeof((array)[0])

/* Writes messages up to this priority from now on.  Call before any thread starts. */
void log_init(enum log_priority least);

/* Would a message of this priority be written?  For those whose making costs something. */
bool log_wants(enum log_priority priority);

/* Text, unless this says otherwise. */
void log_set_format(enum log_format format);

/*
 * Where stderr is a file, opens the one that has its first name now, or makes it: the old one
 * may have been moved away.  -1 and errno: it stays the old one.
 */
int log_reopen(void);

/*
 * Writes one line in one write.  Keeps errno.  Where stderr is a pipe that nobody empties the
 * line is dropped: no loop waits for its log.
 */
void log_msg(enum log_priority priority, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The same with n fields, which text does not show. */
void log_fields(enum log_priority priority, const struct log_field *field, size_t n,
		const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same about a guest, whose name begins the line. */
void log_guest(enum log_priority priority, const char *guest, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Logs "what: detail" when a condition becomes bad, and once more when it is over. */
void log_change(bool *is_bad, bool bad, const char *what, const char *detail);

/* The same about a guest, if it is about one; what names it, too. */
void log_guest_change(bool *is_bad, bool bad, const char *guest, const char *what,
		      const char *detail);

#endif

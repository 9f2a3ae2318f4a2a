/*
 * What a log line looks like to a program: a JSON object, and a datagram to the journal.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
/* cmocka wants the std*.h above first */
#include <cmocka.h>

#include "host/log.h"
#include "host/log_record.h"
#include "tests/fake/fake.h"

static char path[] = "/tmp/vmbal-log-XXXXXX/journal";

static struct log_record record(const char *message, const struct log_field *field, size_t n)
{
	return (struct log_record){ .priority = LOG_PRIO_INFO,
				    .time = "2026-11-26T07:00:31+01:00",
				    .message = message,
				    .field = field,
				    .n = n };
}

/* ---- JSON ---- */

static void texts_and_numbers(void **state)
{
	const struct log_field field[] = {
		{ .name = "guest", .text = "db-1" },
		{ .name = "vcpu", .number = 3 },
		{ .name = "demand_cpus", .number = 0.125 },
		{ .name = "held_kib", .number = 12884901889 },
		{ .name = "growth", .number = NAN },
	};
	struct log_record r = record("cpu: pin", LOG_FIELDS(field));
	char text[512];
	size_t len = log_json(text, sizeof(text), &r);

	(void)state;
	assert_int_equal(len, strlen(text));
	assert_string_equal(text,
			    "{\"time\":\"2026-11-26T07:00:31+01:00\",\"priority\":6,"
			    "\"message\":\"cpu: pin\",\"guest\":\"db-1\",\"vcpu\":3,"
			    "\"demand_cpus\":0.125,\"held_kib\":12884901889,\"growth\":null}");
}

/* No name ends a string, or makes it another encoding. */
static void strings(void **state)
{
	static const struct {
		const char *is, *becomes;
	} cases[] = {
		{ "a\"b\\c", "a\\\"b\\\\c" },
		{ "a\nb\x7f"
		  "c",
		  "a b c" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "\xe2\x82\xac \xf0\x9f\x90\x98", "\xe2\x82\xac \xf0\x9f\x90\x98" },
		{ "cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd" },
		{ "latin \xfc.", "latin \xef\xbf\xbd." },
		{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* overlong */
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* a surrogate */
	};
	char text[512], expected[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct log_record r = record(cases[i].is, NULL, 0);

		log_json(text, sizeof(text), &r);
		snprintf(expected, sizeof(expected), "\"message\":\"%s\"}", cases[i].becomes);
		assert_non_null(strstr(text, expected));
	}
}

/* Whatever the room: an object that is closed, without the fields that did not fit. */
static void what_does_not_fit_is_left_out(void **state)
{
	const struct log_field field[] = {
		{ .name = "guest", .text = "of a long name" },
		{ .name = "vcpu", .number = 3 },
	};
	struct log_record r = record("pin", LOG_FIELDS(field));
	char text[512];

	(void)state;
	for (size_t size = 3; size < sizeof(text); size++) {
		size_t len = log_json(text, size, &r);

		assert_true(len < size);
		assert_int_equal(len, strlen(text));
		assert_int_equal(text[0], '{');
		assert_int_equal(text[len - 1], '}');
		assert_null(strstr(text, ",}"));
		assert_null(strstr(text, "{,"));
		assert_true(!strstr(text, "guest") || strstr(text, "\"of a long name\""));
	}
	log_json(text, sizeof(text), &r);
	assert_non_null(strstr(text, "\"vcpu\":3}"));
}

static void lines_are_objects(void **state)
{
	const struct log_field field = { .name = "guest", .text = "g" };
	bool bad = false;

	(void)state;
	fake_listen();
	log_init(LOG_PRIO_INFO);
	log_set_format(LOG_JSON);
	log_msg(LOG_PRIO_INFO, "two\nlines");
	log_msg(LOG_PRIO_DEBUG, "not said");
	log_fields(LOG_PRIO_ERR, &field, 1, "%2000s", "x");
	log_guest(LOG_PRIO_WARNING, "db-1", "is %s", "odd");
	log_guest_change(&bad, true, "db-2", "db-2", "is odd");
	log_guest_change(&bad, true, "db-2", "db-2", "is odd");
	log_set_format(LOG_TEXT);
	assert_int_equal(fake_heard("\n"), 4);
	assert_int_equal(fake_heard("{\"time\":\"2"), 4);
	assert_int_equal(fake_heard(",\"priority\":6,\"message\":\"two lines\"}\n"), 1);
	assert_int_equal(fake_heard(" \",\"guest\":\"g\"}\n"), 1);
	assert_int_equal(fake_heard("\"message\":\"db-1: is odd\",\"guest\":\"db-1\"}\n"), 1);
	assert_int_equal(fake_heard("\"message\":\"db-2: is odd\",\"guest\":\"db-2\"}\n"), 1);
	fake_deafen();
	log_init(LOG_PRIO_ERR);
}

/* ---- the journal ---- */

static int journal_open(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void fields_of_the_journal(void **state)
{
	const struct log_field field[] = {
		{ .name = "guest", .text = "db-1\nMESSAGE=forged" },
		{ .name = "demand_cpus", .number = 0.125 },
	};
	struct log_record r = record("cpu: pin", LOG_FIELDS(field));
	char text[512];
	ssize_t len;
	int fd = journal_open();

	(void)state;
	assert_int_equal(log_journal(path, &r), 0);
	len = read(fd, text, sizeof(text) - 1);
	assert_true(len > 0);
	text[len] = '\0';
	assert_string_equal(text, "PRIORITY=6\nMESSAGE=cpu: pin\nSYSLOG_FACILITY=3\n"
				  "SYSLOG_IDENTIFIER=test_log\n"
				  "VMBAL_GUEST=db-1 MESSAGE=forged\nVMBAL_DEMAND_CPUS=0.125\n");
	close(fd);
	unlink(path);
}

/* One that does not read is not waited for, and one that is gone takes nothing. */
static void a_deaf_journal(void **state)
{
	struct log_record r = record("said", NULL, 0);
	unsigned sent = 0;
	int fd = journal_open();

	(void)state;
	while (log_journal(path, &r) == 0 && sent < 1000000)
		sent++;
	assert_in_range(sent, 1, 999999);
	close(fd);
	assert_int_equal(log_journal(path, &r), -1);
	unlink(path);
	assert_int_equal(log_journal(path, &r), -1);
}

/* What came to fd since the last time. */
static const char *got(int fd)
{
	static char text[1024];
	ssize_t len = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[len > 0 ? len : 0] = '\0';
	return text;
}

/* Standard error is the journal's stream: the socket first, and the stream where it is gone. */
static void a_service_of_the_journal(void **state)
{
	const char *usual = log_journal_socket;
	int fd, ends[2], was = dup(STDERR_FILENO);
	char stream[64];
	struct stat st;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(fstat(ends[1], &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	dup2(ends[1], STDERR_FILENO);
	log_journal_socket = path;
	log_init(LOG_PRIO_INFO);
	fd = journal_open();
	log_guest(LOG_PRIO_WARNING, "db-1", "is odd\nor not");
	assert_non_null(strstr(got(fd), "PRIORITY=4\nMESSAGE=db-1: is odd or not\n"));
	assert_string_equal(got(ends[0]), "");
	log_set_format(LOG_JSON);
	log_msg(LOG_PRIO_INFO, "an object");
	log_set_format(LOG_TEXT);
	assert_string_equal(got(fd), "");
	assert_int_equal(strncmp(got(ends[0]), "<6>{\"time\":", 11), 0);
	close(fd);
	unlink(path);
	log_msg(LOG_PRIO_INFO, "nobody takes\nit");
	assert_string_equal(got(ends[0]), "<6>nobody takes it\n");
	dup2(was, STDERR_FILENO);
	close(was);
	close(ends[0]);
	close(ends[1]);
	log_journal_socket = usual;
	unsetenv("JOURNAL_STREAM");
	log_init(LOG_PRIO_ERR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_and_numbers),
		cmocka_unit_test(strings),
		cmocka_unit_test(what_does_not_fit_is_left_out),
		cmocka_unit_test(lines_are_objects),
		cmocka_unit_test(fields_of_the_journal),
		cmocka_unit_test(a_deaf_journal),
		cmocka_unit_test(a_service_of_the_journal),
	};
	char *dir_end = strrchr(path, '/');
	int failed;

	*dir_end = '\0';
	if (!mkdtemp(path))
		return 1;
	*dir_end = '/';
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	*dir_end = '\0';
	rmdir(path);
	return failed;
}

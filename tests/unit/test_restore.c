/*
 * test_restore.c - where a vCPU goes when we do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy/restore.h"

#define ALL 0xff /* pCPUs 0 to 7 */

static struct cpuset set(uint64_t bits)
{
	return (struct cpuset){ { bits } };
}

struct row {
	const char *what;
	uint64_t found, asked, before, live, online;
	enum restore_why why;
	uint64_t to; /* RESTORE_FOUND: its mask then */
};

static const struct row rows[] = {
	{ "what was pinned goes back", 0x0f, 0x01, 0, 0x01, ALL, RESTORE_FOUND, 0x0f },
	{ "... also where the last pin was refused", 0x0f, 0x02, 0x01, 0x01, ALL, RESTORE_FOUND,
	  0x0f },
	{ "... to what is online of it", 0x0f, 0x01, 0, 0x01, 0x13, RESTORE_FOUND, 0x03 },
	{ "what is there already stays", 0x0f, 0x01, 0x02, 0x0f, ALL, RESTORE_FOUND, 0x0f },
	{ "what somebody else pinned is his", 0x0f, 0x01, 0x02, 0x04, ALL, RESTORE_EXTERNAL, 0 },
	{ "... whatever is online", 0x10, 0x01, 0x02, 0x04, 0x0f, RESTORE_EXTERNAL, 0 },
	{ "no vCPU is left without a pCPU", 0x10, 0x01, 0, 0x01, 0x0f, RESTORE_OFFLINE, 0 },
};

static void masks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct cpuset found = set(r->found), live = set(r->live), online = set(r->online);
		struct cpuset asked[2] = { set(r->asked), set(r->before) };
		struct cpuset to = set(0x80), expected = set(r->why == RESTORE_FOUND ? r->to : 0x80);

		print_message("%s\n", r->what);
		assert_int_equal(restore_decide(&found, asked, &live, &online, &to), r->why);
		assert_memory_equal(&to, &expected, sizeof(to));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(masks) };

	return cmocka_run_group_tests_name("restore", tests, NULL, NULL);
}

/*
 * A state file that a crash, another program or another version left.
 */
#include "lib/cpuset.h"
#include "loop/state.h"
#include "policy/sample.h"
#include "tests/fuzz/fuzz.h"

#define URI  "qemu:///system"
#define BOOT "6141c3be-386e-4bfb-9e49-6f91bdb0be9d"

static int order(const struct mark *a, const struct mark *b)
{
	int uuids = memcmp(a->uuid, b->uuid, UUID_LEN);

	return uuids ? uuids : (a->vcpu > b->vcpu) - (a->vcpu < b->vcpu);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct marks marks = { .n = 7 };
	const char *error = NULL;
	char *text = malloc(size + 1);

	MUST(text != NULL);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (state_parse(text, size, URI, BOOT, &marks, &error) < 0) {
		MUST(error && *error && marks.n == 7 && !marks.mark);
	} else {
		for (size_t i = 0; i < marks.n; i++) {
			const struct mark *m = &marks.mark[i];

			MUST(i == 0 || order(m - 1, m) < 0);
			MUST(m->target_kib || cpuset_count(&m->found) > 0);
			MUST((cpuset_count(&m->asked[0]) > 0) ==
			     (cpuset_count(&m->asked[1]) > 0));
		}
		free(marks.mark);
	}
	free(text);
	return 0;
}

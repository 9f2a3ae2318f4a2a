/*
 * Numbers, sizes and lists of pCPUs as they come from the command line and from XML.
 */
#include "lib/cpuset.h"
#include "lib/number.h"
#include "tests/fuzz/fuzz.h"

#define TEXT_LEN (8 * PCPU_MAX) /* bytes: any set fits */

static void list_parse(const char *text)
{
	static char out[TEXT_LEN];
	struct cpuset s = { { 7 } }, again;
	char cut[20];

	if (cpuset_parse(text, &s) < 0) {
		MUST(s.bits[0] == 7 && cpuset_count(&s) == 3);
		return;
	}
	MUST(cpuset_count(&s) > 0 && cpuset_has(&s, (unsigned)cpuset_first(&s)));
	MUST(cpuset_parse(cpuset_text(&s, out, sizeof(out)), &again) == 0);
	MUST(memcmp(&s, &again, sizeof(s)) == 0);
	MUST(strlen(cpuset_text(&s, cut, sizeof(cut))) < sizeof(cut));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	uint64_t kib = 1;
	double x = 1;

	MUST(text != NULL);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (number_parse(text, 0.1, 86400, &x) == 0)
		MUST(x >= 0.1 && x <= 86400);
	else
		MUST(x == 1);
	if (size_parse(text, 64 << 10, 1ULL << 40, &kib) == 0)
		MUST(kib >= 64 << 10 && kib <= 1ULL << 40);
	else
		MUST(kib == 1);
	list_parse(text);
	free(text);
	return 0;
}

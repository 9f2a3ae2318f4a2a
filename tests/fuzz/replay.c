/*
 * replay.c - runs a fuzz target on its corpus, in place of libFuzzer: one test in TAP.
 */
#include <dirent.h>
#include <errno.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (1 << 20)

static void replay(const char *path)
{
	static uint8_t data[INPUT_MAX];
	FILE *f = fopen(path, "rb");
	uint8_t *copy;
	size_t n;

	MUST(f != NULL);
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	copy = malloc(n ? n : 1); /* of the exact size, so that reading beyond it is seen */
	MUST(copy != NULL);
	memcpy(copy, data, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '_');
	char dir[256], path[512];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	(void)argc;
	MUST(name != NULL);
	snprintf(dir, sizeof(dir), "tests/fuzz/corpus/%s", name + 1);
	d = opendir(dir);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		replay(path);
		n++;
	}
	if (d)
		closedir(d);
	printf("%s 1 - %u inputs of %s\n1..1\n", n ? "ok" : "not ok", n, dir);
	return n ? 0 : 1;
}

/*
 * Both loops for very long on a simulated host where guests come and go, the administrator and
 * the daemon do what they please, and calls fail at random: nothing grows, nobody is harmed.
 * SOAK_INTERVALS in the environment: how many intervals of 2 s (default 20,000); SOAK_SEED: of
 * the dice (default 1).
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the four std*.h above first */
#include <cmocka.h>

#include "host/log.h"
#include "host/options.h"
#include "host/virt.h"
#include "lib/units.h"
#include "loop/loop.h"
#include "tests/fake/fake.h"
#include "tests/fake/heap.h"

#if defined(__SANITIZE_ADDRESS__)
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

#define MIB_KIB  ((double)KIB_PER_MIB)
#define RUNNING  8          /* guests at a time */
#define HOST_RUN 500        /* intervals that one host lasts */
#define WARM_UP  10         /* hosts, until every array is as large as it gets */
#define SLACK    (64 << 10) /* bytes: of libc and libxml2 */

static struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///", .cpu_interval_s = 2,
			      .mem_interval_s = 2 };

static struct virt *virt;
static void *cpu;
static void *mem;
static unsigned first, next; /* the guests of this host */
static bool on[FAKE_GUESTS];
static unsigned ncpus, dead_for;
static uint64_t seed;

static unsigned dice(unsigned sides)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(seed >> 33) % sides;
}

static size_t allocated(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return __sanitizer_get_current_allocated_bytes();
#else
	return heap_bytes();
#endif
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static unsigned running(void)
{
	unsigned n = 0;

	for (unsigned i = first; i < next; i++)
		n += on[i];
	return n;
}

static void guest_begin(void)
{
	struct plant_load load = { .work = dice(2) ? PLANT_CLOSED : PLANT_OPEN,
				   .demand = dice(100) / 100.0,
				   .burst_ms = 100,
				   .wobble = dice(3) / 20.0 };
	/* It uses the same all the time: if it runs dry it was us. */
	struct plant_mem_guest conf = {
		.max_kib = KIB_PER_GIB,
		.start_kib = KIB_PER_GIB - 100 * 1024 * dice(4),
		.work = { .points = 1, .point = { { 0, (50 + dice(350)) * MIB_KIB } } },
		.noise = dice(5) / 100.0,
		.cache_kib = dice(100) * 1024,
		.balloon = (enum plant_balloon)dice(BALLOON_NONE + 1),
		.limit_kib = KIB_PER_GIB / 2,
		.keeps_pages = dice(8) == 0,
		.reporting = dice(2),
	};

	if (next == FAKE_GUESTS || running() == RUNNING)
		return;
	fake_guest(1 + dice(3), &load, &conf);
	on[next++] = true;
}

/* One thing that happens to some guest. */
static void guest_event(unsigned g)
{
	static const char *const metadata[] = { NULL,
						"<policy/>",
						"<policy cpu='off'/>",
						"<policy mem='off'/>",
						"<policy min='700M' weight='3'/>",
						"<policy weight='x'/>",
						"<pol" };
	static const int refusals[] = { 0, 0, 0, VIR_ERR_INTERNAL_ERROR, VIR_ERR_NO_DOMAIN };
	uint64_t all = (1ULL << ncpus) - 1;

	switch (dice(11)) {
	case 0:
		fake_stop_guest(g);
		on[g] = false;
		break;
	case 1: fake_restart_guest(g); break;
	case 2: fake_reboot(g); break;
	case 3: fake_rewind(g); break;
	case 4: fake_state(g, dice(4) ? VIR_DOMAIN_RUNNING : VIR_DOMAIN_PAUSED); break;
	case 5: fake_busy(g, dice(3) == 0); break;
	case 6: fake_refuse(g, refusals[dice(5)]); break;
	case 7: fake_metadata(g, metadata[dice(7)]); break;
	case 8: fake_mask(g, 0, 1 + dice((unsigned)all)); break;
	case 9: fake_quota(g, dice(3)); break;
	default: fake_occupied(g, dice(3) == 0); break;
	}
}

static void host_event(void)
{
	static const int codes[] = { VIR_ERR_INTERNAL_ERROR, VIR_ERR_OPERATION_TIMEOUT,
				     VIR_ERR_NO_DOMAIN, VIR_ERR_OPERATION_INVALID,
				     VIR_ERR_RPC };

	switch (dice(5)) {
	case 0: fake_fail_at(1 + dice(40), codes[dice(5)]); break;
	case 1: fake_proc_fails(dice(3) == 0); break;
	case 2: fake_pcpu(1 + dice(ncpus - 1), dice(2)); break;
	case 3: dead_for = 1 + dice(4); break;
	default: guest_begin(); break;
	}
}

static void interval(void)
{
	unsigned g = first + (next > first ? dice(next - first) : 0);

	if (dice(4) == 0)
		guest_begin();
	if (next > first && on[g] && dice(3) == 0)
		guest_event(g);
	if (dice(10) == 0)
		host_event();
	fake_dead(dead_for > 0);
	dead_for -= dead_for > 0;
	for (int i = 0; i < 2; i++) {
		fake_advance(NS_PER_S);
		mem_loop_ops.tick(mem);
	}
	cpu_loop_ops.tick(cpu);
}

static void judge(void)
{
	for (unsigned i = first; i < next; i++) {
		struct plant_mem_truth truth;

		plant_mem_truth(fake_mem(), i, &truth);
		assert_false(truth.dead && !truth.capacity);
	}
	assert_int_equal(fake_offences(), 0);
}

/* The host's daemon dies, the loops notice, another host is there. */
static void next_host(void)
{
	fake_fail_at(0, 0);
	fake_dead(true);
	fake_advance(2 * NS_PER_S);
	mem_loop_ops.tick(mem);
	cpu_loop_ops.tick(cpu);
	assert_int_equal(fake_refs(), 0);
	ncpus = 2 + dice(5);
	fake_next_host(ncpus, (4 + dice(8)) * KIB_PER_GIB, 1 + dice(1000000));
	first = next = 0;
	dead_for = 0;
	fake_advance(2 * NS_PER_S);
}

static unsigned long wanted(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 10) : otherwise;
}

static void soak(void **state)
{
	unsigned long n = wanted("SOAK_INTERVALS", 20000);
	size_t warm = 0, held = 0;
	unsigned fds = 0;

	(void)state;
	seed = wanted("SOAK_SEED", 1);
	print_message("# seed %llu\n", (unsigned long long)seed);
	fake_host(2, 4 * KIB_PER_GIB, 1);
	ncpus = 2;
	virt = virt_new(&opt);
	cpu = cpu_loop_ops.open(virt, &opt);
	mem = mem_loop_ops.open(virt, &opt);
	for (unsigned long i = 0; i < n; i++) {
		if (i % HOST_RUN == 0) {
			next_host();
			held = allocated();
			if (i == WARM_UP * HOST_RUN) {
				warm = held;
				fds = descriptors();
			}
			if (i > WARM_UP * HOST_RUN)
				assert_in_range(held, 1, warm + SLACK);
		}
		interval();
		judge();
	}
	print_message(
		"# %lu intervals, %u pins and %u balloons on the last host; %zu KiB after %u "
		"hosts, %zu KiB before the last\n",
		n, fake_pins(), fake_balloons(), warm >> 10, WARM_UP, held >> 10);
	if (fds)
		assert_int_equal(descriptors(), fds);
	cpu_loop_ops.close(cpu);
	mem_loop_ops.close(mem);
	assert_int_equal(virt_free(virt), 0);
	assert_int_equal(fake_refs(), 0);
	fake_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(soak) };

	log_init(LOG_PRIO_ERR - 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

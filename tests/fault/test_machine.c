/*
 * What this machine itself tells and takes, when it is missing, cut short or absurd: /proc and
 * /sys, the runtime directory, the service manager's socket.  The program's own files are under
 * test; only what fopen() finds below /proc and /sys is the test's.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants the four std*.h above first */
#include <cmocka.h>

#include "host/log.h"
#include "host/notify.h"
#include "host/proc.h"
#include "host/runtime.h"
#include "lib/cpuset.h"
#include "policy/sample.h"
#include "tests/fake/fake.h"

#define NOBODY 65534

static char dir[] = "/tmp/vmbal-machine-XXXXXX", path[64];
static const char *content; /* of any file below /proc and /sys; NULL: there is none */

FILE *__real_fopen(const char *name, const char *mode);
FILE *__wrap_fopen(const char *name, const char *mode);

FILE *__wrap_fopen(const char *name, const char *mode)
{
	static char text[8 * 4096];

	if (strncmp(name, "/proc/", 6) && strncmp(name, "/sys/", 5))
		return __real_fopen(name, mode);
	if (!content) {
		errno = ENOENT;
		return NULL;
	}
	snprintf(text, sizeof(text), "%s", content);
	return *text ? fmemopen(text, strlen(text), "r") : __real_fopen("/dev/null", "re");
}

/* ---- /proc and /sys ---- */

static void pcpu_times(void **state)
{
	static const char *const none[] = { NULL,
					    "",
					    "\n",
					    "cpu  1 2 3 4\n",
					    "cpu0 1 2 3\n",
					    "cpu",
					    "cpux 1 2 3 4\n",
					    "cpu4 1 2 3 4\n",
					    "intr 1\ncpu0 1 2 3 4\n" };
	uint64_t tick_ns = 1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK);
	struct cpu_time t[4];

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		content = none[i];
		assert_int_equal(proc_cpu_times(t, 4), -1);
	}
	memset(t, 0xff, sizeof(t));
	content =
		"cpu  9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu2 1 0 0 5\ncpu7 1 1 1 1\nintr 5\n";
	assert_int_equal(proc_cpu_times(t, 4), 0);
	assert_int_equal(t[0].busy_ns, (1 + 2 + 3 + 6 + 7 + 8) * tick_ns);
	assert_int_equal(t[0].idle_ns, (4 + 5) * tick_ns);
	assert_int_equal(t[0].irq_ns, (6 + 7) * tick_ns); /* 8: stolen, bound to no pCPU */
	assert_int_equal(t[1].busy_ns + t[1].idle_ns, 0); /* offline */
	assert_int_equal(t[2].idle_ns, 5 * tick_ns);
	assert_int_equal(t[3].busy_ns + t[3].idle_ns, 0);
	content = "cpu0 1 1 1 1\ncpu1 1 1"; /* cut short */
	assert_int_equal(proc_cpu_times(t, 4), 0);
	assert_int_equal(t[1].busy_ns, 0);
}

static void memory(void **state)
{
	static const char *const none[] = {
		NULL,
		"",
		"MemTotal:",
		"MemTotal: 1000 kB\n",
		"MemAvailable: 1000 kB\n",
		"MemTotal: 0 kB\nMemAvailable: 0 kB\n",
		"MemTotal: x kB\nMemAvailable: y kB\n",
		"MemTotal: 9 kB\nMemAvailable: 99999999999999999999 kB\n"
	};
	uint64_t total = 7, available = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		content = none[i];
		assert_int_equal(proc_memory(&total, &available), -1);
	}
	assert_int_equal(total + available, 14);
	content =
		"MemTotal:       1000 kB\nMemFree: 5 kB\nMemAvailable:   600 kB\nBuffers: 1 kB\n";
	assert_int_equal(proc_memory(&total, &available), 0);
	assert_int_equal(total, 1000);
	assert_int_equal(available, 600);
	content = "MemTotal: 1000 kB\nMemAvailable: 0 kB\n"; /* known, and next to nothing */
	assert_int_equal(proc_memory(&total, &available), 0);
	assert_int_equal(available, 1);
}

/* What KSM saves, and what ZFS caches. */
static void beside_available(void **state)
{
	static const char *const none[] = { NULL, "", "x\n", "size 4 5\nc_min 4 5\n",
					    "size 4 100000\n", "c_min 4 100\n" };
	uint64_t page_kib = (uint64_t)sysconf(_SC_PAGESIZE) / 1024, kib = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		content = none[i];
		proc_merged(&kib);
		proc_zfs(&kib);
		assert_int_equal(kib, 7);
	}
	content = "1000\n";
	proc_merged(&kib);
	assert_int_equal(kib, 1000 * page_kib);
	content = "13 1 0x01 96 26112 1 2\nname                            type data\n"
		  "hits                            4    9\n"
		  "c_min                           4    1048576\n"
		  "c_max                           4    9999999\n"
		  "size                            4    5242880\n"
		  "compressed_size                 4    1\n";
	proc_zfs(&kib);
	assert_int_equal(kib, 4096);
}

static void pressure(void **state)
{
	static const char *const none[] = { NULL, "", "full avg10=1.00\n", "some avg10=x\n" };
	double percent = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		content = none[i];
		assert_int_equal(proc_memory_pressure(&percent), -1);
	}
	assert_true(percent > 6.9 && percent < 7.1);
	content = "some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=0.00\n";
	assert_int_equal(proc_memory_pressure(&percent), 0);
	assert_true(percent > 12.4 && percent < 12.6);
}

static void isolated_pcpus(void **state)
{
	static const char *const none[] = { NULL, "", "\n", "x\n", "3-1\n", "4096\n" };
	struct cpuset s = { { 7 } };

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		content = none[i];
		assert_int_equal(proc_isolated(&s), -1);
		assert_int_equal(s.bits[0], 7);
	}
	content = "2-3\n";
	assert_int_equal(proc_isolated(&s), 0);
	assert_int_equal(s.bits[0], 0xc);
}

static void boot_id(void **state)
{
	static const char *const none[] = { NULL, "", "\n", "6141c3be-386e\n" };
	char id[BOOT_ID_LEN] = "as it was";

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		content = none[i];
		assert_int_equal(proc_boot_id(id), -1);
		assert_string_equal(id, "as it was");
	}
	content = "6141c3be-386e-4bfb-9e49-6f91bdb0be9d\n";
	assert_int_equal(proc_boot_id(id), 0);
	assert_string_equal(id, "6141c3be-386e-4bfb-9e49-6f91bdb0be9d");
}

/* Every process of this machine has the name that is read then. */
static void rivals(void **state)
{
	static const struct {
		const char *comm, *said;
	} cases[] = {
		{ NULL, "runs on this host" },
		{ "", "runs on this host" },
		{ "numadx\n", "runs on this host" },
		{ "numad\n", "numad runs on this host" },
		{ "vdsmd", "vdsmd runs on this host" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		content = cases[i].comm;
		fake_listen();
		runtime_warn_rivals();
		assert_int_equal(fake_heard(cases[i].said) > 0, i >= 3);
		fake_deafen();
	}
}

/* ---- the runtime directory ---- */

static void print_name(FILE *f, const void *name)
{
	fputs(name, f);
}

static void print_much(FILE *f, const void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 10000; i++)
		fputs("0123456789", f);
}

static void is(const char *want)
{
	char *text;
	size_t len;

	assert_null(runtime_read(path, 100, &text, &len));
	assert_int_equal(len, strlen(want));
	assert_memory_equal(text, want, len);
	free(text);
}

static void limited(int resource, rlim_t most, struct rlimit *was)
{
	struct rlimit now;

	assert_int_equal(getrlimit(resource, was), 0);
	now = *was;
	now.rlim_cur = most;
	assert_int_equal(setrlimit(resource, &now), 0);
}

/* Whatever stands in the way, the old file stays as it was. */
static void a_file_is_replaced_whole_or_not(void **state)
{
	struct rlimit was;
	char temp[80];

	(void)state;
	assert_int_equal(runtime_replace(path, print_name, "one"), 0);
	is("one");
	snprintf(temp, sizeof(temp), "%s.new", path);
	assert_int_equal(mkdir(temp, 0755), 0);
	assert_int_equal(runtime_replace(path, print_name, "two"), -1);
	is("one");
	rmdir(temp);
	assert_int_equal(symlink("/dev/null", temp), 0); /* of a crash, or set as a trap */
	assert_int_equal(runtime_replace(path, print_name, "two"), 0);
	is("two");
	limited(RLIMIT_NOFILE, 3, &was);
	assert_int_equal(runtime_replace(path, print_name, "three"), -1);
	setrlimit(RLIMIT_NOFILE, &was);
	is("two");
	signal(SIGXFSZ, SIG_IGN); /* as a full disk */
	limited(RLIMIT_FSIZE, 1000, &was);
	assert_int_equal(runtime_replace(path, print_much, NULL), -1);
	setrlimit(RLIMIT_FSIZE, &was);
	is("two");
	unlink(path);
	unlink(temp);
}

/* What root makes in a service's directory is the service's. */
static void it_is_the_directorys_owners(void **state)
{
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(dir, NOBODY, NOBODY), 0);
	assert_int_equal(runtime_replace(path, print_name, "x"), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, NOBODY);
	is("x");
	assert_int_equal(chown(dir, 0, 0), 0);
	unlink(path);
}

static void what_is_not_trusted_is_not_read(void **state)
{
	size_t len = 7;
	char *text = NULL;

	(void)state;
	assert_string_equal(runtime_read(dir, 100, &text, &len), "it is no regular file");
	assert_string_equal(runtime_read(path, 100, &text, &len), strerror(ENOENT));
	assert_int_equal(runtime_replace(path, print_much, NULL), 0);
	assert_string_equal(runtime_read(path, 100, &text, &len), "it is too large");
	assert_int_equal(chmod(path, 0664), 0);
	assert_string_equal(runtime_read(path, 1 << 20, &text, &len), "others can write to it");
	unlink(path);
	/* It says that it is empty, and goes on for longer than it may. */
	assert_string_equal(runtime_read("/proc/self/smaps", 100, &text, &len),
			    "it is too large");
	assert_null(text);
	assert_int_equal(len, 7);
}

static void names(void **state)
{
	char uri[512], small[16];
	char name[RUNTIME_PATH_LEN];

	(void)state;
	assert_int_equal(runtime_path("/d", "a+b://c/d?e%\xff", "pins", name, sizeof(name)), 0);
	assert_string_equal(name, "/d/a+b:%2F%2Fc%2Fd%3Fe%25%FF.pins");
	assert_int_equal(runtime_path("/d", "", "pins", small, sizeof(small)), 0);
	assert_int_equal(runtime_path("/d", "0123456789", "pins", small, sizeof(small)), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	for (size_t len = 60; len < sizeof(uri); len++) { /* a slash takes three bytes */
		memset(uri, '/', len);
		uri[len] = '\0';
		assert_int_equal(runtime_path("/d", uri, "pins", name, sizeof(name)),
				 3 * len <= 200 ? 0 : -1);
	}
}

static int found(char *name, char *error)
{
	return runtime_dir(name, RUNTIME_PATH_LEN, error, RUNTIME_PATH_LEN);
}

/* For a while: root can come back. */
static void become(uid_t user)
{
	assert_int_equal(setresuid(user, user, 0), 0);
}

static void which_directory(void **state)
{
	char name[RUNTIME_PATH_LEN], error[RUNTIME_PATH_LEN], list[128], own[80];

	(void)state;
	snprintf(list, sizeof(list), "%s:/nowhere", dir);
	setenv("RUNTIME_DIRECTORY", list, 1);
	assert_int_equal(found(name, error), 0);
	assert_string_equal(name, dir);
	setenv("RUNTIME_DIRECTORY", "/nowhere/at/all", 1);
	assert_int_equal(found(name, error), -1);
	assert_non_null(strstr(error, "/nowhere/at/all: No such file"));
	setenv("RUNTIME_DIRECTORY", dir, 1);
	assert_int_equal(chmod(dir, 0775), 0);
	assert_int_equal(found(name, error), -1);
	assert_non_null(strstr(error, "others can write to it"));
	assert_int_equal(chmod(dir, 0755), 0);
	if (geteuid() != 0)
		skip();
	/* Any other user's is its own, or none. */
	become(NOBODY);
	assert_int_equal(found(name, error), -1);
	assert_non_null(strstr(error, "Permission denied"));
	setenv("RUNTIME_DIRECTORY", "", 1);
	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(found(name, error), -1);
	assert_string_equal(error, "XDG_RUNTIME_DIR is not set");
	become(0);
	assert_int_equal(chown(dir, NOBODY, NOBODY), 0);
	become(NOBODY);
	setenv("XDG_RUNTIME_DIR", dir, 1);
	assert_int_equal(found(name, error), 0);
	snprintf(own, sizeof(own), "%s/vmbal", dir);
	assert_string_equal(name, own);
	become(0);
	assert_int_equal(chown(dir, 0, 0), 0);
	assert_int_equal(chown(own, 0, 0), 0); /* then it is not ours, though we could write */
	assert_int_equal(chmod(own, 0755), 0);
	rmdir(own);
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("RUNTIME_DIRECTORY");
}

/* A lock is one process's at a time, and ends with it. */
static void locks(void **state)
{
	int ready[2], done[2], status;
	pid_t child, holder = 7;
	char c = 0;

	(void)state;
	assert_int_equal(runtime_lock("/nowhere/lock", 0, &holder), -1);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(done), 0);
	child = fork();
	if (child == 0) {
		if (runtime_lock(path, 1, &holder) != 0 || write(ready[1], &c, 1) != 1)
			_exit(1);
		close(done[1]);
		_exit(read(done[0], &c, 1) != 0);
	}
	close(done[0]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(runtime_lock(path, 0, &holder), 0); /* another byte: another loop */
	assert_int_equal(runtime_lock(path, 1, &holder), 1);
	assert_int_equal(holder, child);
	close(done[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(runtime_lock(path, 1, &holder), 0);
	close(ready[0]);
	unlink(path);
}

/* ---- the service manager ---- */

static int manager(const struct sockaddr_un *at, size_t len)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)at, (socklen_t)len), 0);
	return fd;
}

static void heard(int fd, const char *want)
{
	char message[64];
	ssize_t len = recv(fd, message, sizeof(message), 0);

	assert_int_equal(len, strlen(want));
	assert_memory_equal(message, want, len);
}

static void notifications(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify("READY=1"), 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	fd = manager(&at, sizeof(at));
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(notify("READY=1"), 0);
	heard(fd, "READY=1");
	close(fd);
	assert_int_equal(notify("READY=1"), -1); /* nobody listens there now */
	unlink(path);
	assert_int_equal(notify("READY=1"), -1);
	snprintf(at.sun_path, sizeof(at.sun_path), "%cvmbal-%d", '\0', (int)getpid());
	fd = manager(&at, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(at.sun_path + 1));
	at.sun_path[0] = '@';
	setenv("NOTIFY_SOCKET", at.sun_path, 1);
	assert_int_equal(notify("STATUS=well"), 0);
	heard(fd, "STATUS=well");
	close(fd);
}

/* One that does not read is not waited for; an address that is none is not tried. */
static void a_deaf_manager(void **state)
{
	static const char *const wrong[] = { "relative", "vsock:2:1" };
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char longer[sizeof(at.sun_path) + 1];
	struct rlimit was;
	unsigned sent = 0;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		setenv("NOTIFY_SOCKET", wrong[i], 1);
		assert_int_equal(notify("READY=1"), -1);
	}
	memset(longer, '/', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longer, 1);
	assert_int_equal(notify("READY=1"), -1);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	fd = manager(&at, sizeof(at));
	setenv("NOTIFY_SOCKET", path, 1);
	while (notify("WATCHDOG=1") == 0 && sent < 1000000)
		sent++;
	assert_in_range(sent, 1, 999999);
	heard(fd, "WATCHDOG=1");
	limited(RLIMIT_NOFILE, 3, &was);
	assert_int_equal(notify("READY=1"), -1);
	setrlimit(RLIMIT_NOFILE, &was);
	assert_int_equal(notify("READY=1"), 0);
	close(fd);
	unlink(path);
	unsetenv("NOTIFY_SOCKET");
}

static void watchdogs(void **state)
{
	static const struct {
		const char *usec;
		int64_t ns;
	} cases[] = { { "60000000", 60000000000 },
		      { "0", 0 },
		      { "-1", 0 },
		      { "", 0 },
		      { "soon", 0 },
		      { "9223372036854775807", 0 },
		      { "99999999999999999999", 0 } };
	char pid[16];

	(void)state;
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	assert_int_equal(notify_watchdog_ns(), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setenv("WATCHDOG_USEC", cases[i].usec, 1);
		assert_int_equal(notify_watchdog_ns(), cases[i].ns);
	}
	setenv("WATCHDOG_USEC", "1000000", 1);
	setenv("WATCHDOG_PID", "1", 1); /* another's */
	assert_int_equal(notify_watchdog_ns(), 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_ns(), 1000000000);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

/* ---- the log ---- */

static int stderr_was;

static void stderr_is(int fd)
{
	stderr_was = dup(STDERR_FILENO);
	assert_true(fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
	log_init(LOG_PRIO_WARNING);
}

static void stderr_back(void)
{
	dup2(stderr_was, STDERR_FILENO);
	close(stderr_was);
	log_init(LOG_PRIO_WARNING);
}

static unsigned lines_in(const char *name)
{
	FILE *f = fopen(name, "re");
	unsigned n = 0;

	if (!f)
		return 0;
	for (int c = fgetc(f); c != EOF; c = fgetc(f))
		n += c == '\n';
	fclose(f);
	return n;
}

static void the_log_is_opened_anew(void **state)
{
	char moved[80];

	(void)state;
	snprintf(moved, sizeof(moved), "%s.1", path);
	stderr_is(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	log_msg(LOG_PRIO_ERR, "one");
	rename(path, moved);
	log_msg(LOG_PRIO_ERR, "two");
	assert_int_equal(log_reopen(), 0);
	log_msg(LOG_PRIO_ERR, "of\nmore\nlines");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(log_reopen(), -1); /* nobody reads it */
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(log_reopen(), -1);
	rmdir(path);
	assert_int_equal(log_reopen(), 0);
	log_msg(LOG_PRIO_ERR, "four");
	log_msg(LOG_PRIO_ERR, "five");
	stderr_back();
	assert_int_equal(lines_in(moved), 2);
	assert_int_equal(lines_in(path), 2);
	unlink(moved);
	unlink(path);
}

/* A pipe that nobody empties: lines are dropped until somebody does. */
static void no_reader_holds_up_the_log(void **state)
{
	char buffer[65536];
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	stderr_is(ends[1]);
	for (int i = 0; i < 1000; i++)
		log_msg(LOG_PRIO_ERR, "%0100d", i);
	assert_in_range(read(ends[0], buffer, sizeof(buffer)), 30000, 65536);
	log_msg(LOG_PRIO_ERR, "heard again");
	assert_in_range(read(ends[0], buffer, sizeof(buffer)), 10, 100);
	close(ends[0]);
	log_msg(LOG_PRIO_ERR, "nobody at all");
	stderr_back();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pcpu_times),
		cmocka_unit_test(memory),
		cmocka_unit_test(beside_available),
		cmocka_unit_test(pressure),
		cmocka_unit_test(isolated_pcpus),
		cmocka_unit_test(boot_id),
		cmocka_unit_test(rivals),
		cmocka_unit_test(a_file_is_replaced_whole_or_not),
		cmocka_unit_test(it_is_the_directorys_owners),
		cmocka_unit_test(what_is_not_trusted_is_not_read),
		cmocka_unit_test(names),
		cmocka_unit_test(which_directory),
		cmocka_unit_test(locks),
		cmocka_unit_test(notifications),
		cmocka_unit_test(a_deaf_manager),
		cmocka_unit_test(watchdogs),
		cmocka_unit_test(the_log_is_opened_anew),
		cmocka_unit_test(no_reader_holds_up_the_log),
	};
	int failed;

	if (!mkdtemp(dir) || chmod(dir, 0755))
		return 1;
	snprintf(path, sizeof(path), "%s/file", dir);
	signal(SIGPIPE, SIG_IGN); /* as the program does */
	log_init(LOG_PRIO_WARNING);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}

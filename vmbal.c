/*
 * vmbal - keeps a KVM host's guests balanced.
 *
 * The story: the name we run under and the arguments choose one loop or both; main blocks
 * signals, starts a thread per loop on one shared libvirt connection, and waits for signals.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmbal.h"

#define STATUS_LEN 256  /* bytes */
#define ERROR_LEN  1024 /* bytes: an error, or the line of settings */

enum exit_status {
	EXIT_DONE,
	EXIT_FAILED,
	EXIT_USAGE,
};

static struct options options;
static struct settings settings; /* those of options */
static const struct command *command;

/* ---- the command table ---- */

/* What is asked for: one or more loops, or something that ends by itself and stands alone. */
struct command {
	const char *name, *help;
	const struct argument *argument;        /* the one that it takes; NULL: none */
	const struct loop_ops *loop;            /* NULL: none */
	const char *link_sets;                  /* an option, under the loop's own name */
	enum exit_status (*run)(struct virt *); /* NULL: until a signal, or its decision */
	bool needs_state; /* it works on what loops left: needs the files, and all locks */
};

/* A decimal number. */
struct argument {
	const char *name;
	double least, most;
};

static const struct argument interval = { .name = "SECONDS", .least = 0.1, .most = 86400 };

static enum exit_status restore(struct virt *virt);

static const struct command commands[] = {
	{ .name = "cpu",
	  .help = "repin vCPUs so that all pCPUs carry a similar load",
	  .argument = &interval,
	  .loop = &cpu_loop_ops,
	  .link_sets = "place-unpinned" },
	{ .name = "mem",
	  .help = "move memory between balloons",
	  .argument = &interval,
	  .loop = &mem_loop_ops },
	{ .name = "restore",
	  .help = "put back the masks that vCPUs were found with",
	  .run = restore,
	  .needs_state = true },
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *command_by_name(const char *name)
{
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* The name that the program has when it is one loop alone. */
static const struct command *command_by_link(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');

	for (size_t i = 0; i < NCOMMANDS; i++)
		if (commands[i].loop &&
		    strcmp(commands[i].loop->link, slash ? slash + 1 : argv0) == 0)
			return &commands[i];
	return NULL;
}

/* " SECONDS" */
static const char *argument_text(const struct command *c)
{
	static char text[16];

	snprintf(text, sizeof(text), " %s", c->argument ? c->argument->name : "");
	return c->argument ? text : "";
}

/* "cpu SECONDS, mem SECONDS or restore". */
static const char *command_names(void)
{
	static char text[128];
	size_t used = 0;

	for (size_t i = 0; i < NCOMMANDS && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s%s",
					 i == 0               ? ""
					 : i + 1 == NCOMMANDS ? " or "
							      : ", ",
					 commands[i].name, argument_text(&commands[i]));
	return text;
}

/* ---- arguments ---- */

static _Noreturn void wrong_usage(const char *what, const char *value, const char *valid)
{
	fprintf(stderr, "vmbal: %s '%s': %s\n", what, value, valid);
	exit(EXIT_USAGE);
}

static const char *argument_valid(const struct argument *a)
{
	static char text[64];

	snprintf(text, sizeof(text), "must be a decimal number from %g to %g", a->least,
		 a->most);
	return text;
}

/* A loop's interval. */
static void take_argument(const struct command *c, const char *s)
{
	double interval_s = loop_interval(c->loop, &options);
	char what[32];

	snprintf(what, sizeof(what), "%s%s", c->name, argument_text(c));
	if (interval_s > 0)
		wrong_usage("argument", c->name, "may be given once");
	if (number_parse(s, c->argument->least, c->argument->most, &interval_s) < 0)
		wrong_usage(what, s, argument_valid(c->argument));
	loop_set_interval(c->loop, &options, interval_s);
}

/* What follows the options of a link: its loop's argument, and nothing else. */
static void link_args(int argc, char **argv)
{
	char valid[32];

	if (argc == 0)
		wrong_usage("missing argument", command->argument->name,
			    argument_valid(command->argument));
	take_argument(command, argv[0]);
	snprintf(valid, sizeof(valid), "only%s is taken", argument_text(command));
	if (argc > 1)
		wrong_usage("unexpected argument", argv[1], valid);
}

/* What follows the options of vmbal: loops, each with its argument, or another command. */
static void command_args(int argc, char **argv)
{
	char valid[ERROR_LEN];

	snprintf(valid, sizeof(valid), "must be %s; loops may be given together",
		 command_names());
	if (argc == 0)
		wrong_usage("missing argument", "COMMAND", valid);
	for (int i = 0; i < argc; i += 2) {
		const struct command *c = command_by_name(argv[i]);

		if (!c)
			wrong_usage("unknown command", argv[i], valid);
		if (!c->loop && i > 0)
			wrong_usage("unexpected argument", argv[i],
				    "is a command that stands alone");
		command = c;
		if (!c->loop && argc > 1) {
			snprintf(valid, sizeof(valid), "%s takes none", c->name);
			wrong_usage("unexpected argument", argv[1], valid);
		}
		if (!c->loop)
			return;
		if (i + 1 < argc) {
			take_argument(c, argv[i + 1]);
			continue;
		}
		snprintf(valid, sizeof(valid), "missing%s after", argument_text(c));
		wrong_usage(valid, argv[i], argument_valid(c->argument));
	}
}

/* Does it run, given the arguments? */
static bool is_asked_for(const struct command *c)
{
	return c->loop ? loop_interval(c->loop, &options) > 0 : c == command;
}

/* An option that nothing heeds is a mistake. */
static void refuse_unheeded(void)
{
	char running[ERROR_LEN] = "", option[64], valid[64];
	const struct setting *row;

	for (size_t i = 0; i < NCOMMANDS; i++)
		if (is_asked_for(&commands[i]))
			strcat(strcat(running, commands[i].name), " ");
	row = settings_unheeded(&settings, running);
	if (!row)
		return;
	snprintf(option, sizeof(option), "--%s", row->name);
	snprintf(valid, sizeof(valid), "is for %s, which is not asked for", row->heeded_by);
	wrong_usage("option", option, valid);
}

static void usage(void)
{
	puts("usage: vmbal [options] COMMAND");
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (commands[i].loop)
			printf("       %s [options]%s\n", commands[i].loop->link,
			       argument_text(&commands[i]));
	printf("\nBalances the guests of a KVM host: every %s (%g to %g); loops may be given\n"
	       "together.\n\n",
	       interval.name, interval.least, interval.most);
	for (size_t i = 0; i < NCOMMANDS; i++)
		printf("  %-7s%-17s%s\n", commands[i].name, argument_text(&commands[i]),
		       commands[i].help);
	putchar('\n');
	settings_usage(&settings, stdout);
}

/* --help, or --version. */
static void show(void)
{
	if (options.help) {
		usage();
	} else {
		printf("vmbal " VMBAL_VERSION "\n%s\n", xml_build());
	}
	if (fflush(stdout) == 0 && !ferror(stdout))
		return;
	fprintf(stderr, "vmbal: standard output: %s\n", strerror(errno));
	exit(EXIT_FAILED);
}

/* Returns whether there is something to do; not after --help or --version. */
static bool parse(int argc, char **argv)
{
	const struct command *link = command_by_link(argv[0]);
	char error[ERROR_LEN];
	int end;

	if (options_open(&settings, &options) < 0) {
		fputs("vmbal: out of memory\n", stderr);
		exit(EXIT_FAILED);
	}
	end = options_parse(&settings, argc, argv, error, sizeof(error));
	if (end < 0) {
		fprintf(stderr, "vmbal: %s\n", error);
		exit(EXIT_USAGE);
	}
	if (options.help || options.version) {
		show();
		return false;
	}
	command = link;
	if (link)
		link_args(argc - end, argv + end);
	else
		command_args(argc - end, argv + end);
	refuse_unheeded();
	if (link && link->link_sets)
		settings_set(&settings, settings_find(&settings, link->link_sets, 0), NULL,
			     error, sizeof(error));
	return true;
}

/* ---- the process ---- */

/* One vmbal per loop, connection and runtime directory. */
static int locks_take(const char *dir)
{
	char path[RUNTIME_PATH_LEN];

	if (runtime_path(dir, options.uri, "lock", path, sizeof(path)) < 0) {
		log_msg(LOG_PRIO_ERR, "%s: %s", options.uri, strerror(errno));
		return -1;
	}
	return loops_lock(path, &options, command->needs_state);
}

/*
 * Finds the place for state and locks, and takes the locks.  Root can have one, so that its
 * lack is an error; others may have to do without.  A dry run needs none, but reads one to know
 * where guests were found.
 */
static int runtime_begin(void)
{
	static char dir[RUNTIME_PATH_LEN];
	char error[RUNTIME_PATH_LEN + 64];

	if (options.dry_run && !command->needs_state && !options.allowed_found)
		return 0;
	if (runtime_dir(dir, sizeof(dir), error, sizeof(error)) == 0) {
		options.runtime_dir = dir;
		return options.dry_run ? 0 : locks_take(dir);
	}
	if (options.dry_run && !command->needs_state)
		return 0;
	if (geteuid() == 0 || command->needs_state) {
		log_msg(LOG_PRIO_ERR, "no runtime directory: %s", error);
		return -1;
	}
	log_msg(LOG_PRIO_WARNING,
		"no runtime directory: %s: masks are not saved, and a second vmbal is not noticed",
		error);
	return 0;
}

/* Signals are blocked before the first thread exists, so that only main gets them. */
static void signals_block(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

/* What the last run left, of both loops.  Signals end it as they do any program. */
static enum exit_status restore(struct virt *virt)
{
	int result = loops_restore(virt, &options);

	virt_free(virt);
	return result < 0 ? EXIT_FAILED : EXIT_DONE;
}

static char told[STATUS_LEN]; /* to the service manager, last */

/* It takes what was told before a reload for old. */
static void tell_reload(void)
{
	char message[64];

	snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%lld",
		 proc_now_ns() / NS_PER_US);
	notify(message);
	told[0] = '\0';
}

/*
 * Tells the service manager that we run, even where libvirt does not, what we are doing when
 * that is news, and that no loop is stuck; returns the last.
 */
static bool tell_manager(void)
{
	char doing[STATUS_LEN - 32], message[STATUS_LEN];
	bool fresh = loops_describe(doing, sizeof(doing));

	snprintf(message, sizeof(message), "READY=1\nSTATUS=%s", doing);
	if (strcmp(message, told) != 0 && notify(message) == 0)
		memcpy(told, message, sizeof(told));
	if (fresh && notify_watchdog_ns())
		notify("WATCHDOG=1");
	return fresh;
}

static void report(void)
{
	char doing[STATUS_LEN];

	loops_describe(doing, sizeof(doing));
	log_msg(LOG_PRIO_NOTICE, "state: %s, %s", options.uri, doing);
	loops_report();
}

/* What is read anew is read at the next tick: until then, what is known holds. */
static void refresh(struct virt *virt)
{
	tell_reload();
	if (log_reopen() < 0)
		log_msg(LOG_PRIO_WARNING, "the log file cannot be opened anew: %s",
			strerror(errno));
	log_msg(LOG_PRIO_NOTICE, "%s: reading anew what is kept about guests",
		strsignal(SIGHUP));
	virt_refresh(virt);
}

/* The next signal; 0: it is time to feed the watchdog, or to see whether a loop is stuck. */
static int next_signal(const sigset_t *set)
{
	int64_t watchdog_ns = notify_watchdog_ns();
	int64_t look_ns = watchdog_ns ? watchdog_ns / 2 : NS_PER_S;
	struct timespec look = { .tv_sec = look_ns / NS_PER_S, .tv_nsec = look_ns % NS_PER_S };
	int got = sigtimedwait(set, NULL, &look);

	return got < 0 ? 0 : got; /* EAGAIN, or EINTR after a stop */
}

/*
 * Is a loop stuck for good?  Then whoever supervises us is to start us anew, as a service
 * manager with a watchdog does by itself.  Not at once: after a stop (SIGSTOP) all look stuck.
 */
static bool is_lost(bool fresh)
{
	static int64_t since_ns;
	static bool stuck;
	int64_t now_ns = proc_now_ns();

	log_change(&stuck, !fresh, options.uri, "libvirt does not answer");
	if (fresh || since_ns == 0)
		since_ns = fresh ? 0 : now_ns;
	return !fresh && now_ns - since_ns >= ns_of_s(limit.lost_s) && !notify_watchdog_ns();
}

/* Until told to stop, or with --once until each loop has said by SIGUSR2 that it is done. */
static enum exit_status wait_for_end(struct virt *virt, const sigset_t *set)
{
	while (!loops_done()) {
		int got;

		if (is_lost(tell_manager())) {
			log_msg(LOG_PRIO_ERR, "libvirt does not answer: giving up");
			return EXIT_FAILED;
		}
		got = next_signal(set);
		if (got == SIGINT || got == SIGTERM) {
			log_msg(LOG_PRIO_NOTICE, "%s: stopping", strsignal(got));
			return EXIT_DONE;
		}
		if (got == SIGUSR1)
			report();
		if (got == SIGHUP)
			refresh(virt);
	}
	return loops_refused() ? EXIT_USAGE : EXIT_DONE;
}

static void say_settings(void)
{
	char text[ERROR_LEN];
	size_t used;

	settings_line(&settings, text, sizeof(text));
	used = strlen(text);
	for (size_t i = 0; i < NCOMMANDS && used < sizeof(text); i++)
		if (commands[i].loop)
			used += (size_t)snprintf(text + used, sizeof(text) - used,
						 ", %s %g s (0: off)", commands[i].name,
						 loop_interval(commands[i].loop, &options));
	log_msg(LOG_PRIO_NOTICE, "vmbal " VMBAL_VERSION ": %s", text);
}

int main(int argc, char **argv)
{
	struct virt *virt;
	enum exit_status status;
	sigset_t set;

	if (!parse(argc, argv))
		return EXIT_DONE;
	log_init((enum log_priority)(LOG_PRIO_INFO + options.verbosity));
	log_set_format((enum log_format)options.log_format);
	signal(SIGPIPE, SIG_IGN); /* libvirtd's end would kill us at the next call */
	if (runtime_begin() < 0)
		return EXIT_FAILED;
	if (!command->run) {
		signals_block(&set);
		say_settings();
		runtime_warn_rivals();
	}
	virt = virt_new(&options);
	if (!virt) {
		log_msg(LOG_PRIO_ERR, "cannot start libvirt's event loop");
		return EXIT_FAILED;
	}
	if (command->run)
		return command->run(virt);
	if (loops_start(virt, &options) == 0) {
		status = wait_for_end(virt, &set);
		notify("STOPPING=1");
	} else {
		log_msg(LOG_PRIO_ERR, "cannot start the loops: out of memory or threads");
		status = EXIT_FAILED;
	}
	if (!loops_finish(virt, status) && status == EXIT_DONE)
		status = EXIT_FAILED;
	return status;
}

/*
 * notify.h - the service manager
 */
#ifndef HOST_NOTIFY_H
#define HOST_NOTIFY_H

#include <stdint.h>

/*
 * Sends "KEY=value" lines to the service manager that $NOTIFY_SOCKET names, as sd_notify(3),
 * without waiting.  0 also where there is none; -1: not sent.
 */
int notify(const char *message);

/* How often the manager wants to hear WATCHDOG=1 from this process; 0: not at all. */
int64_t notify_watchdog_ns(void);

#endif

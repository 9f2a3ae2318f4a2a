/*
 * runtime.h - the runtime directory: its files and locks
 */
#ifndef HOST_RUNTIME_H
#define HOST_RUNTIME_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#define RUNTIME_PATH_LEN 4096 /* bytes with the NUL */

/*
 * Finds or makes it: $RUNTIME_DIRECTORY, else /run/vmbal for root, else
 * $XDG_RUNTIME_DIR/vmbal.  -1: error says why there is none that can be used.
 */
int runtime_dir(char *path, size_t len, char *error, size_t error_len);

/* The path of the file for this connection.  -1 and ENAMETOOLONG: the URI is too long. */
int runtime_path(const char *dir, const char *uri, const char *suffix, char *path, size_t len);

/*
 * Replaces a file as a whole by what print(f, arg) writes; it is the directory's owner's.  -1
 * and errno: the old one stays.
 */
int runtime_replace(const char *path, void (*print)(FILE *, const void *), const void *arg);

/*
 * Reads a file of ours, of root or of the directory's owner; the caller frees *text.  NULL, or
 * why it cannot be read or trusted.
 */
const char *runtime_read(const char *path, size_t max, char **text, size_t *len);

/*
 * Locks a byte of a file until the process ends, however it ends.  1: *holder has it (0: a
 * process of another PID namespace).
 */
int runtime_lock(const char *path, unsigned byte, pid_t *holder);

/* Warns of programs on this host that do the same work. */
void runtime_warn_rivals(void);

#endif

/*
 * shape.h - cores, caches, nodes and strength of pCPUs
 */
#ifndef HOST_SHAPE_H
#define HOST_SHAPE_H

#include <stdbool.h>

#include "lib/cpuset.h"
#include "policy/sample.h"

void topology_clear(struct topology *t);           /* nothing is known */
bool topology_has_nodes(const struct topology *t); /* more than one */

/* Reads a list of pCPUs from the first line of a file.  -1 and unchanged: there is none. */
int shape_read_list(const char *path, struct cpuset *out);

/* Reads sys/ and proc/ below root, which is "" for this machine's.  -1: they do not tell. */
int shape_read(const char *root, struct topology *out);

/* Reads libvirt's capabilities.  -1: these are none, or there is no memory. */
int topology_parse(const char *xml, struct topology *out);

#endif

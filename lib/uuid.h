/*
 * uuid.h - UUIDs as text
 */
#ifndef LIB_UUID_H
#define LIB_UUID_H

#include <stdio.h>

#define UUID_LEN 16 /* bytes, as libvirt has them */

void uuid_print(FILE *f, const unsigned char *uuid); /* 8-4-4-4-12 digits */
int uuid_parse(const char *s, unsigned char *uuid);  /* -1: it is none */

#endif

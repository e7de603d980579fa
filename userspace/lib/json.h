/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writing JSON: what is opened is closed by the caller, commas and escapes are
 * ours. A NULL key is for the members of an array and for the outermost value.
 */
#ifndef THV_LIB_JSON_H
#define THV_LIB_JSON_H

#include <stdio.h>

#include "lib/types.h"

struct json {
	FILE *file;
	bool comma;	/* a member precedes in the innermost open value */
};

void json_open(struct json *json, const char *key, char bracket);	/* '{' or '[' */
void json_close(struct json *json, char bracket);			/* '}' or ']' */
void json_text(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, u64 value);
/* Nanoseconds as microseconds, with their fraction */
void json_micros(struct json *json, const char *key, u64 ns);
/* A number that is no integer: as it is written */
void json_literal(struct json *json, const char *key, const char *value);
void json_bool(struct json *json, const char *key, bool value);

#endif

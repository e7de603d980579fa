// SPDX-License-Identifier: GPL-2.0-only
/* A JSON writer of the least kind. */
#include "lib/json.h"

static void quote(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(file, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(file, "\\u%04x", *text);
		else
			fputc(*text, file);
	}
	fputc('"', file);
}

static void member(struct json *json, const char *key)
{
	if (json->comma)
		fputc(',', json->file);
	json->comma = true;
	if (key) {
		quote(json->file, key);
		fputc(':', json->file);
	}
}

void json_open(struct json *json, const char *key, char bracket)
{
	member(json, key);
	fputc(bracket, json->file);
	json->comma = false;
}

void json_close(struct json *json, char bracket)
{
	fputc(bracket, json->file);
	json->comma = true;
}

void json_text(struct json *json, const char *key, const char *value)
{
	member(json, key);
	quote(json->file, value);
}

void json_number(struct json *json, const char *key, u64 value)
{
	member(json, key);
	fprintf(json->file, "%llu", value);
}

void json_literal(struct json *json, const char *key, const char *value)
{
	member(json, key);
	fputs(value, json->file);
}

void json_bool(struct json *json, const char *key, bool value)
{
	member(json, key);
	fputs(value ? "true" : "false", json->file);
}

void json_micros(struct json *json, const char *key, u64 ns)
{
	member(json, key);
	fprintf(json->file, "%llu.%03llu", ns / 1000, ns % 1000);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Options out of a YAML file, which libyaml reads into a tree. YAML, because its plain
 * values are texts, as arguments are (to TOML `mem = 256M` is an error), because it has
 * comments and tells where a node begins, and because its library is one in C that
 * Debian keeps; for TOML there are only ones in C++.
 *
 * The tree is as deep as options are: keys, lists, mappings of words, lists in those.
 */
#include "lib/optionfile.h"

#include <stdarg.h>
#include <stdarg.h>
#include <string.h>
#include <yaml.h>

#include "lib/error.h"

#define WORDS	4096	/* characters of words that a mapping becomes, at most */

struct file {
	const char *path;
	yaml_document_t document;
	const struct option_row *rows;
	bool *given;		/* by the command line, and then by us */
	void *values;
	/* where we are, for errors */
	const char *key;
	unsigned long line;
};

/* ---- errors ---------------------------------------------------------------- */

/* "lab.yaml:4: cpus: " before a sentence */
__attribute__((format(printf, 2, 3)))
static int wrong(const struct file *file, const char *format, ...)
{
	char text[600];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (file->key)
		return error_set("%s:%lu: %s: %s", file->path, file->line, file->key, text);
	return error_set("%s:%lu: %s", file->path, file->line, text);
}

static yaml_node_t *node_at(struct file *file, int index)
{
	yaml_node_t *node = yaml_document_get_node(&file->document, index);

	file->line = node->start_mark.line + 1;
	return node;
}

/* A value that is a text; NULL with the error text: it is something else */
static const char *scalar(const struct file *file, const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;

	if (node->type != YAML_SCALAR_NODE)
		wrong(file, "a single value belongs here, not a list or a mapping");
	else if (strlen(text) != node->data.scalar.length)
		wrong(file, "there is a zero byte in it");
	else
		return text;
	return NULL;
}

/* ---- words ------------------------------------------------------------------ */

struct words {
	char text[WORDS];
	size_t used;
};

static void put(struct words *words, char byte)
{
	if (words->used < sizeof(words->text) - 1)
		words->text[words->used++] = byte;
	words->text[words->used] = 0;
}

/* "name=value" or "name"; a comma in it is doubled, as options_parse_words() wants it */
static void add_word(struct words *words, const char *name, const char *value)
{
	if (words->used)
		put(words, ',');
	while (*name)
		put(words, *name++);
	if (!value)
		return;
	for (put(words, '='); *value; value++) {
		put(words, *value);
		if (*value == ',')
			put(words, ',');
	}
}

static const struct option_row *find(const struct option_row *rows, const char *name)
{
	for (; rows->name; rows++)
		if (!rows->positional && !strcmp(rows->name, name))
			return rows;
	return NULL;
}

/* A flag's value: 1, 0, or -1: it is none */
static int truth(const yaml_node_t *node, const char *text)
{
	if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return -1;
	if (!strcmp(text, "true"))
		return 1;
	return strcmp(text, "false") ? -1 : 0;
}

/* Nothing after the colon, or null */
static bool nothing(const yaml_node_t *node, const char *text)
{
	return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*text || !strcmp(text, "null") || !strcmp(text, "~"));
}

static int word(struct file *file, const struct option_row *row, yaml_node_t *node,
		struct words *words)
{
	const char *text = scalar(file, node);

	if (!text)
		return -1;
	if (row->argument) {
		if (nothing(node, text) && !row->implied)
			return wrong(file, "'%s' wants a value: %s", row->name, row->argument);
		add_word(words, row->name, nothing(node, text) ? NULL : text);
		return 0;
	}
	if (truth(node, text) < 0)
		return wrong(file, "'%s' is either true or false", row->name);
	if (truth(node, text))
		add_word(words, row->name, NULL);
	return 0;
}

/* One word, or as many as there are in a list */
static int word_values(struct file *file, const struct option_row *row, yaml_node_t *node,
		       struct words *words)
{
	yaml_node_item_t *item;

	if (node->type != YAML_SEQUENCE_NODE)
		return word(file, row, node, words);
	for (item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++)
		if (word(file, row, node_at(file, *item), words))
			return -1;
	return 0;
}

static int words_of(struct file *file, const struct option_row *rows, yaml_node_t *mapping,
		    struct words *words)
{
	yaml_node_pair_t *pair;
	const struct option_row *row;
	const char *name;

	for (pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++) {
		name = scalar(file, node_at(file, pair->key));
		if (!name)
			return -1;
		row = find(rows, name);
		if (!row)
			return wrong(file, "there is no '%s' in it", name);
		if (word_values(file, row, node_at(file, pair->value), words))
			return -1;
	}
	if (words->used == sizeof(words->text) - 1)
		return wrong(file, "too long");
	return 0;
}

/* ---- options ---------------------------------------------------------------- */

static int take(struct file *file, const struct option_row *row, const char *text)
{
	if (option_take_copy(row, text, file->values))
		return wrong(file, "%s", error_text());
	return 0;
}

static int take_flag(struct file *file, const struct option_row *row, const yaml_node_t *node,
		     const char *text)
{
	if (truth(node, text) < 0)
		return wrong(file, "either true or false");
	return truth(node, text) ? take(file, row, NULL) : 0;
}

static int take_item(struct file *file, const struct option_row *row, yaml_node_t *node)
{
	struct words words = { .used = 0 };
	const char *text;

	if (node->type == YAML_MAPPING_NODE && row->words)
		return words_of(file, row->words, node, &words) || take(file, row, words.text) ? -1 : 0;
	text = scalar(file, node);
	if (!text)
		return -1;
	if (!row->argument)
		return take_flag(file, row, node, text);
	if (!nothing(node, text))
		return take(file, row, text);
	if (row->implied)
		return take(file, row, row->implied);
	return wrong(file, "a value is missing: %s", row->argument);
}

static int take_value(struct file *file, const struct option_row *row, yaml_node_t *node)
{
	yaml_node_item_t *item;

	if (node->type != YAML_SEQUENCE_NODE || row->parse != option_list)
		return take_item(file, row, node);
	for (item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++)
		if (take_item(file, row, node_at(file, *item)))
			return -1;
	return 0;
}

/* What the command line says is the command line's; what the file says it says once */
static int take_pair(struct file *file, const yaml_node_pair_t *pair, bool *seen)
{
	const struct option_row *row;

	file->key = NULL;
	file->key = scalar(file, node_at(file, pair->key));
	if (!file->key)
		return -1;
	row = find(file->rows, file->key);
	if (!row)
		return wrong(file, "there is no such option; `thv run --help` lists them");
	if (seen[row - file->rows])
		return wrong(file, "it is there twice; an option that may be repeated takes a list");
	seen[row - file->rows] = true;
	if (file->given[row - file->rows])
		return 0;
	return take_value(file, row, node_at(file, pair->value));
}

static u32 count(const struct option_row *rows)
{
	u32 number = 0;

	while (rows[number].name)
		number++;
	return number;
}

static int take_all(struct file *file, const yaml_node_t *root)
{
	u32 rows = count(file->rows), i;
	yaml_node_pair_t *pair;
	bool seen[rows];

	memset(seen, 0, sizeof(seen));
	for (pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++)
		if (take_pair(file, pair, seen))
			return -1;
	for (i = 0; i < rows; i++)
		file->given[i] |= seen[i];
	return 0;
}

static int take_document(struct file *file)
{
	const yaml_node_t *root = yaml_document_get_root_node(&file->document);

	if (!root)
		return error_set("%s: there is nothing in it; it wants options, as in `cpus: 2`", file->path);
	if (root->type == YAML_MAPPING_NODE)
		return take_all(file, root);
	file->line = root->start_mark.line + 1;
	return wrong(file, "not options; they are written as in `cpus: 2`, a line each");
}

/* ---- the file ---------------------------------------------------------------- */

static int parse(struct file *file, yaml_parser_t *parser)
{
	int result;

	if (!yaml_parser_load(parser, &file->document))
		return error_set("%s:%zu: not YAML: %s", file->path, parser->problem_mark.line + 1,
				 parser->problem ? parser->problem : "it cannot be read");
	result = take_document(file);
	yaml_document_delete(&file->document);
	return result;
}

int optionfile_read(const char *path, const struct option_row *rows, bool *given, void *values)
{
	struct file file = { .path = path, .rows = rows, .given = given, .values = values };
	FILE *stream = fopen(path, "re");
	yaml_parser_t parser;
	int result;

	if (!stream)
		return error_errno("%s", path);
	if (!yaml_parser_initialize(&parser)) {
		fclose(stream);
		return error_set("out of memory");
	}
	yaml_parser_set_input_file(&parser, stream);
	result = parse(&file, &parser);
	yaml_parser_delete(&parser);
	fclose(stream);
	return result;
}

/*
 * Exits as stacks, for flame graphs: the exit-multiplication tree in the folded form and as a
 * speedscope profile; see export.h.
 */
#include <string.h>
#include "trace/bt2/export.h"
#include "trace/bt2/json.h"

#define MAX_STACK (MODEL_LEVELS + 2)

static const char *node_text(const struct model_exit_node *x, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "L%u %s%s", x->level, event_exit_reason_text(x->reason),
		 x->reflected ? "" : " (kept by L0)");
	return buf;
}

/* Nodes from the root down to @index. Return: how many. */
static u32 path_of(const struct model_exit_node *nodes, u32 index, u32 *path)
{
	u32 up[MAX_STACK], n = 0;

	for (; index != EVENT_NO_ID && n < MAX_STACK; index = nodes[index].parent)
		up[n++] = index;
	for (u32 i = 0; i < n; i++)
		path[i] = up[n - 1 - i];
	return n;
}

static const char *root_text(const struct model *m, const struct model_exit_node *x, char *buf,
			     size_t bytes)
{
	const struct model_vm *vm = model_vm(m, x->vm);

	if (x->child != EVENT_NO_ID)
		return model_child_name(m, x->child, buf, bytes);
	snprintf(buf, bytes, "%s", vm && vm->name[0] ? vm->name : "machine");
	return buf;
}

/* A semicolon would be another frame. */
static void put_frame(FILE *out, const char *s)
{
	for (; *s; s++)
		fputc(*s == ';' || (u8)*s < 0x20 ? '_' : *s, out);
}

void export_folded_end(struct export *x)
{
	const struct model_exit_node *nodes;
	u32 n, depth, path[MAX_STACK];
	char text[96];

	nodes = model_exit_tree(x->model, &n);
	for (u32 i = 0; i < n; i++) {
		depth = path_of(nodes, i, path);
		put_frame(x->out, root_text(x->model, &nodes[path[0]], text, sizeof(text)));
		for (u32 k = 0; k < depth; k++) {
			fputc(';', x->out);
			put_frame(x->out, node_text(&nodes[path[k]], text, sizeof(text)));
		}
		fprintf(x->out, " %llu\n", (unsigned long long)nodes[i].host_cost_ns);
	}
}

/* Frames are numbered: machines and child VMs by their root node, exits by their own node. */
static void put_profile(struct export *x, struct json *j, const char *name, const char *unit,
			bool by_cost)
{
	const struct model_exit_node *nodes;
	u32 n, depth, path[MAX_STACK];
	u64 sum = 0;

	nodes = model_exit_tree(x->model, &n);
	for (u32 i = 0; i < n; i++)
		sum += by_cost ? nodes[i].host_cost_ns : nodes[i].count;
	json_open(j, NULL, '{');
	json_string(j, "type", "sampled");
	json_string(j, "name", name);
	json_string(j, "unit", unit);
	json_number(j, "startValue", 0);
	json_number(j, "endValue", sum);
	json_open(j, "samples", '[');
	for (u32 i = 0; i < n; i++) {
		depth = path_of(nodes, i, path);
		json_open(j, NULL, '[');
		json_number(j, NULL, 2 * path[0]);
		for (u32 k = 0; k < depth; k++)
			json_number(j, NULL, 2 * path[k] + 1);
		json_close(j, ']');
	}
	json_close(j, ']');
	json_open(j, "weights", '[');
	for (u32 i = 0; i < n; i++)
		json_number(j, NULL, by_cost ? nodes[i].host_cost_ns : nodes[i].count);
	json_close(j, ']');
	json_close(j, '}');
}

void export_speedscope_end(struct export *x)
{
	struct json j = {.out = x->out};
	const struct model_exit_node *nodes;
	char text[96];
	u32 n;

	nodes = model_exit_tree(x->model, &n);
	json_open(&j, NULL, '{');
	json_string(&j, "$schema", "https://www.speedscope.app/file-format-schema.json");
	json_string(&j, "exporter", "nestor");
	json_string(&j, "name", x->info.source ? x->info.source : "trace");
	json_open(&j, "shared", '{');
	json_open(&j, "frames", '[');
	for (u32 i = 0; i < n; i++) {
		json_open(&j, NULL, '{');
		json_string(&j, "name", root_text(x->model, &nodes[i], text, sizeof(text)));
		json_close(&j, '}');
		json_open(&j, NULL, '{');
		json_string(&j, "name", node_text(&nodes[i], text, sizeof(text)));
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	json_open(&j, "profiles", '[');
	put_profile(x, &j, "host time of L0 by exit", "nanoseconds", true);
	put_profile(x, &j, "number of exits", "none", false);
	json_close(&j, ']');
	json_close(&j, '}');
	fputc('\n', x->out);
}

/* The formats that nestor report can write; see export.h. */
#include "trace/bt2/export.h"

void export_text_end(struct export *x)
{
	report_print_text(x->out, x->model, &x->info);
}

void export_json_end(struct export *x)
{
	report_print_json(x->out, x->model, &x->info);
}

void export_details_end(struct export *x)
{
	x->info.parts = REPORT_HEAD | REPORT_EXITS | REPORT_PLACES | REPORT_TREE | REPORT_INTRS;
	report_print_text(x->out, x->model, &x->info);
}

const struct export_class export_classes[EXPORT_COUNT] = {
#define X(name, picture, fields, several, begin, event, end, help) \
	{#name, picture, fields, several, begin, event, end},
#include "trace/bt2/export_formats.def"
#undef X
};

/* --- colours: around the circle of hues by the golden angle, so that neighbours differ --- */
static u32 hsl(u32 hue, u32 saturation, u32 light)
{
	u32 rgb = 0;

	for (u32 i = 0; i < 3; i++) {
		static const u32 shift[3] = {0, 240, 120};
		u32 h = (hue + 360 - shift[i]) % 360;
		u32 d = h < 180 ? h : 360 - h; /* 0 at the full hue, 180 away from it */
		u32 part = d <= 60 ? 100 : d >= 120 ? 0 : (120 - d) * 100 / 60;
		u32 range = saturation * MIN(light, 100 - light) / 100;
		u32 v = light - range + 2 * range * part / 100;

		rgb = rgb << 8 | (v * 255 / 100);
	}
	return rgb;
}

u32 export_colour(const struct model *m, u32 vcpu)
{
	const struct model_vcpu *v;
	u32 n;

	v = model_vcpus(m, &n);
	for (u32 i = 0; i < n; i++)
		if (v[i].id == vcpu)
			return hsl((210 + i * 137) % 360, 62, 46 + i * 11 % 24);
	return 0xdddddd;
}

void export_xml_text(FILE *out, const char *s)
{
	for (; *s; s++) {
		u8 c = (u8)*s;

		if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
			fprintf(out, "&#%u;", c);
		else if (c >= 0x7f)
			fprintf(out, "&#%u;", c); /* of unknown coding: as Latin-1 */
		else if (c >= 0x20 || c == '\n' || c == '\t')
			fputc(c, out);
		else
			fputc('?', out); /* XML has no other control characters */
	}
}

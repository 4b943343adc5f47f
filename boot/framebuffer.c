/* SPDX-License-Identifier: MIT */
#include "boot/framebuffer.h"

#include "boot/font.h"
#include "boot/libc.h"
#include "boot/refuse.h"

enum { LEAST_WIDTH = 640, LEAST_HEIGHT = 480, MOST_PIXELS = 1 << 14 /* in either direction */ };
/* With letters so large that this many fit side by side and below each other, a table of guests fits on the screen. */
enum { ENOUGH_COLUMNS = 120, ENOUGH_ROWS = 30 };
enum { COLUMNS_MAX = 240, ROWS_MAX = 160, TAB = 8, SCROLL_PART = 8 };
/* Of the colours' 256 steps: light grey on black. */
enum { INK = 0xD0 };

/*
 * Half a row of a letter is one of 16 patterns, whose pixels are made once. They are copied in whole words, so that the
 * last one may spill over, and is written over by what comes behind it.
 */
enum { HALF = FONT_WIDTH / 2, SCALE_MAX = MOST_PIXELS / (ENOUGH_COLUMNS * FONT_WIDTH) };
enum { PATTERN_WORDS = HALF * SCALE_MAX * 4 / 8 };
enum { LINE_BYTES = MOST_PIXELS * 4 };
typedef uint64_t any_word __attribute__((may_alias, aligned(1)));

static struct {
	uint8_t *memory;
	uint32_t pitch, width, height;
	unsigned pixel; /* bytes */
	unsigned scale;
	unsigned columns, rows;
	unsigned row, column; /* of the next character */
	unsigned top;         /* the line of text[] that is the screen's first row */
	bool cleared;
} screen;

/* What is to be seen, as a ring of rows, and what is seen: 0 where that is not known. */
static char text[ROWS_MAX][COLUMNS_MAX], shown[ROWS_MAX][COLUMNS_MAX];
static bool changed[ROWS_MAX];
/* What is to be seen instead, while there is a page. */
static char page[ROWS_MAX][COLUMNS_MAX];
static bool has_page;
static uint64_t patterns[16][PATTERN_WORDS];
static uint8_t line[LINE_BYTES + sizeof(any_word)];

uint64_t framebuffer_size(const struct boot_framebuffer *layout)
{
	return (uint64_t)layout->pitch * layout->height;
}

/* ---- The layout ------------------------------------------------------------------------------------------- */

static bool color_fits(struct boot_color color, unsigned bits)
{
	return color.size && color.size <= 16 && color.position + color.size <= bits;
}

static bool check(const struct boot_framebuffer *f, const struct refusal *why)
{
	if (f->kind == BOOT_SCREEN_BROKEN)
		return refuse(why,
			      "the loader's screen lies at 0x%llx, in usable memory; set gfxpayload to another mode.",
			      (unsigned long long)f->base);
	if (f->kind != BOOT_SCREEN_PIXELS)
		return refuse(why,
			      "the loader's screen of type %u with %u bits a pixel has no colours of its own; set "
			      "gfxpayload=1024x768x32 in its configuration.",
			      f->type, f->bits);
	if (f->bits != 15 && f->bits != 16 && f->bits != 24 && f->bits != 32)
		return refuse(why, "the loader's screen has %u bits a pixel; set gfxpayload to a mode of 16, 24 or 32.",
			      f->bits);
	if (!color_fits(f->red, f->bits) || !color_fits(f->green, f->bits) || !color_fits(f->blue, f->bits))
		return refuse(
			why,
			"the loader's screen has colours of %u, %u and %u bits at %u, %u and %u of a pixel of %u; "
			"set gfxpayload to another mode.",
			f->red.size, f->green.size, f->blue.size, f->red.position, f->green.position, f->blue.position,
			f->bits);
	if (f->width < LEAST_WIDTH || f->height < LEAST_HEIGHT || f->width > MOST_PIXELS || f->height > MOST_PIXELS)
		return refuse(why,
			      "the loader's screen has %u by %u pixels; set gfxpayload to a mode from %dx%d to %dx%d.",
			      f->width, f->height, LEAST_WIDTH, LEAST_HEIGHT, MOST_PIXELS, MOST_PIXELS);
	if (f->pitch < f->width * ((f->bits + 7u) / 8) || f->pitch > MOST_PIXELS * 8)
		return refuse(why,
			      "the loader's screen has lines of %u pixels in %u bytes; set gfxpayload to another mode.",
			      f->width, f->pitch);
	if (!f->base || f->base > UINT64_MAX - framebuffer_size(f))
		return refuse(why, "the loader's screen lies at 0x%llx; set gfxpayload to another mode.",
			      (unsigned long long)f->base);
	return true;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static uint32_t shade(struct boot_color color)
{
	uint32_t full = (1u << color.size) - 1;

	return full * INK / 255 << color.position;
}

static void make_patterns(uint32_t ink)
{
	for (unsigned bits = 0; bits < 16; bits++) {
		uint8_t *at = (uint8_t *)patterns[bits];

		for (unsigned x = 0; x < HALF * screen.scale; x++) {
			uint32_t color = bits & 8u >> x / screen.scale ? ink : 0;

			for (unsigned byte = 0; byte < screen.pixel; byte++)
				*at++ = (uint8_t)(color >> 8 * byte);
		}
	}
}

bool framebuffer_init(const struct boot_framebuffer *f, char *reason, size_t size)
{
	const struct refusal why = {reason, size};

	if (!check(f, &why))
		return false;
	memset(&screen, 0, sizeof(screen));
	screen.pitch = f->pitch;
	screen.width = f->width;
	screen.height = f->height;
	screen.pixel = (f->bits + 7u) / 8;
	screen.scale = least(f->width / (ENOUGH_COLUMNS * FONT_WIDTH), f->height / (ENOUGH_ROWS * FONT_HEIGHT));
	if (!screen.scale)
		screen.scale = 1;
	screen.columns = least(f->width / (FONT_WIDTH * screen.scale), COLUMNS_MAX);
	screen.rows = least(f->height / (FONT_HEIGHT * screen.scale), ROWS_MAX);
	memset(text, ' ', sizeof(text));
	has_page = false;
	make_patterns(shade(f->red) | shade(f->green) | shade(f->blue));
	return true;
}

void framebuffer_map(void *memory)
{
	screen.memory = memory;
	screen.cleared = false;
}

unsigned framebuffer_columns(void)
{
	return screen.columns;
}

unsigned framebuffer_rows(void)
{
	return screen.rows;
}

/* ---- Text ------------------------------------------------------------------------------------------------- */

static char *text_row(unsigned row)
{
	return text[(screen.top + row) % screen.rows];
}

/* Several rows at a time: all of the screen is drawn again for it. */
static void scroll(void)
{
	unsigned rows = screen.rows / SCROLL_PART;

	screen.row = screen.rows - rows;
	screen.top = (screen.top + rows) % screen.rows;
	for (unsigned row = screen.row; row < screen.rows; row++)
		memset(text_row(row), ' ', screen.columns);
	memset(changed, true, sizeof(changed));
}

static void next_row(void)
{
	screen.column = 0;
	if (++screen.row == screen.rows)
		scroll();
}

void framebuffer_put(char c)
{
	if (!screen.rows)
		return;
	switch (c) {
	case '\n':
		next_row();
		break;
	case '\r':
		screen.column = 0;
		break;
	case '\t':
		do {
			framebuffer_put(' ');
		} while (screen.column % TAB);
		break;
	default:
		/* Only now: a line that fills its row leaves no empty one behind it. */
		if (screen.column == screen.columns)
			next_row();
		text_row(screen.row)[screen.column++] = c;
		changed[screen.row] = true;
	}
}

void framebuffer_page(const char *cells, unsigned columns, unsigned rows)
{
	has_page = cells;
	memset(changed, true, sizeof(changed));
	if (!cells)
		return;
	memset(page, ' ', sizeof(page));
	for (unsigned row = 0; row < least(rows, screen.rows); row++)
		memcpy(page[row], cells + (size_t)row * columns, least(columns, screen.columns));
}

/* ---- Drawing ---------------------------------------------------------------------------------------------- */

static const char *seen_row(unsigned row)
{
	return has_page ? page[row] : text_row(row);
}

/* One line of pixels of `count` characters, whose halves are patterns of so many words. Returns its bytes. */
static inline __attribute__((always_inline)) size_t compose_words(const char *cells, unsigned count, unsigned y,
								  unsigned words)
{
	unsigned half = HALF * screen.scale * screen.pixel;
	uint8_t *at = line;

	for (unsigned i = 0; i < count; i++, at += 2 * half) {
		unsigned bits = font_glyph(cells[i])[y];

		for (unsigned word = 0; word < words; word++)
			((any_word *)at)[word] = patterns[bits >> HALF][word];
		for (unsigned word = 0; word < words; word++)
			((any_word *)(at + half))[word] = patterns[bits & 15][word];
	}
	return (size_t)(at - line);
}

static size_t compose(const char *cells, unsigned count, unsigned y)
{
	unsigned words = (HALF * screen.scale * screen.pixel + 7) / 8;

	/* The common forms, as loops of a known length. */
	if (words == 1)
		return compose_words(cells, count, y, 1);
	if (words == 2)
		return compose_words(cells, count, y, 2);
	return compose_words(cells, count, y, words);
}

static void draw(unsigned row, unsigned first, unsigned end)
{
	uint8_t *to = screen.memory + (size_t)row * FONT_HEIGHT * screen.scale * screen.pitch +
		      (size_t)first * FONT_WIDTH * screen.scale * screen.pixel;

	for (unsigned y = 0; y < FONT_HEIGHT; y++) {
		size_t size = compose(seen_row(row) + first, end - first, y);

		for (unsigned i = 0; i < screen.scale; i++, to += screen.pitch)
			memcpy(to, line, size);
	}
}

static void show_row(unsigned row)
{
	const char *want = seen_row(row);
	char *have = shown[row];
	unsigned first = 0, end = screen.columns;

	while (first < end && want[first] == have[first])
		first++;
	while (end > first && want[end - 1] == have[end - 1])
		end--;
	if (first == end)
		return;
	draw(row, first, end);
	memcpy(have + first, want + first, end - first);
}

static void clear(void)
{
	for (uint32_t y = 0; y < screen.height; y++)
		memset(screen.memory + (size_t)y * screen.pitch, 0, (size_t)screen.width * screen.pixel);
	memset(shown, ' ', sizeof(shown));
	memset(changed, true, sizeof(changed));
	screen.cleared = true;
}

void framebuffer_show(void)
{
	if (!screen.memory)
		return;
	if (!screen.cleared)
		clear();
	for (unsigned row = 0; row < screen.rows; row++) {
		if (changed[row])
			show_row(row);
		changed[row] = false;
	}
}

/* SPDX-License-Identifier: MIT */
/* IBM VGA Technical Reference; ports from 3C0h on. */
#include "guest/devices/vga_text.h"

enum {
	ATTRIBUTE = 0x00,
	ATTRIBUTE_READ = 0x01,
	MISC_WRITE = 0x02,
	SEQUENCER = 0x04,
	MISC_READ = 0x0c,
	GRAPHICS = 0x0e,
	CRTC = 0x14,
	STATUS = 0x1a, /* and feature control, written */
};
enum { CRTC_START = 0x0c };
enum { STATUS_BLANKED = 1, STATUS_RETRACE = 8, ATTRIBUTE_INDEX = 0x3f, MISC_COLOUR = 0x67, BLANK = 0x0720 };
enum { CELLS = VGA_TEXT_SIZE / 2 };

/* As the BIOS sets up mode 3. */
static const uint8_t mode_3_crtc[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
				      0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
static const uint8_t mode_3_sequencer[] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const uint8_t mode_3_graphics[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};

static uint8_t *vga_selected(struct vga_indexed *file)
{
	return &file->value[file->index % VGA_INDEXED];
}

/* The file whose index or data port it is; NULL: neither. */
static struct vga_indexed *vga_file(struct vga_text *vga, unsigned port)
{
	switch (port & ~1u) {
	case SEQUENCER:
		return &vga->sequencer;
	case GRAPHICS:
		return &vga->graphics;
	case CRTC:
		return &vga->crtc;
	default:
		return NULL;
	}
}

static uint8_t vga_read_port(struct vga_text *vga, unsigned port)
{
	struct vga_indexed *file = vga_file(vga, port);

	if (file)
		return port & 1 ? *vga_selected(file) : file->index;
	switch (port) {
	case ATTRIBUTE:
		return vga->attribute.index;
	case ATTRIBUTE_READ:
		return *vga_selected(&vga->attribute);
	case MISC_READ:
		return vga->misc;
	case STATUS:
		/* Whoever waits for a retrace to begin, or to end, does not wait long. */
		vga->attribute_data = false;
		vga->status ^= STATUS_BLANKED | STATUS_RETRACE;
		return vga->status;
	default:
		return 0;
	}
}

static void vga_write_port(struct vga_text *vga, unsigned port, uint8_t value)
{
	struct vga_indexed *file = vga_file(vga, port);

	if (file && port & 1) {
		*vga_selected(file) = value;
	} else if (file) {
		file->index = value;
	} else if (port == ATTRIBUTE) {
		if (vga->attribute_data)
			*vga_selected(&vga->attribute) = value;
		else
			vga->attribute.index = value & ATTRIBUTE_INDEX;
		vga->attribute_data = !vga->attribute_data;
	} else if (port == MISC_WRITE) {
		vga->misc = value;
	}
}

/* A word to an index port is the index and its data. */
static uint32_t vga_read(void *context, uint16_t offset, unsigned size)
{
	struct vga_text *vga = context;
	uint32_t data = 0;

	lock_acquire(vga->lock);
	for (unsigned i = 0; i < size; i++)
		data |= (uint32_t)vga_read_port(vga, offset + i) << (8 * i);
	lock_release(vga->lock);
	return data;
}

static void vga_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct vga_text *vga = context;

	lock_acquire(vga->lock);
	for (unsigned i = 0; i < size; i++)
		vga_write_port(vga, offset + i, (uint8_t)(data >> (8 * i)));
	lock_release(vga->lock);
}

struct port_range vga_text_ports(struct vga_text *vga)
{
	return (struct port_range){VGA_PORTS_AT, VGA_PORTS, vga_read, vga_write, vga};
}

struct tl_range vga_text_range(const struct vga_text *vga)
{
	return (struct tl_range){
		.kind = TL_RANGE_RAM, .start = VGA_TEXT_AT, .size = VGA_TEXT_SIZE, .host = vga->memory};
}

void vga_text_init(struct vga_text *vga, struct lock *lock, void *memory)
{
	uint16_t *cell = memory;

	*vga = (struct vga_text){.lock = lock, .memory = memory, .misc = MISC_COLOUR};
	for (unsigned i = 0; i < sizeof(mode_3_crtc); i++)
		vga->crtc.value[i] = mode_3_crtc[i];
	for (unsigned i = 0; i < sizeof(mode_3_sequencer); i++)
		vga->sequencer.value[i] = mode_3_sequencer[i];
	for (unsigned i = 0; i < sizeof(mode_3_graphics); i++)
		vga->graphics.value[i] = mode_3_graphics[i];
	for (unsigned i = 0; i < CELLS; i++)
		cell[i] = BLANK;
	for (unsigned i = 0; i < VGA_TEXT_CELLS; i++)
		vga->shown[i / VGA_TEXT_COLUMNS][i % VGA_TEXT_COLUMNS] = ' ';
}

/*
 * Takes over the cells of the screen. False: they are those of the time before, as on most screens at most times. A
 * guest may write meanwhile: each cell is read once, and what is torn is taken the next time.
 */
static bool vga_take_cells(struct vga_text *vga)
{
	const volatile uint16_t *cell = vga->memory;
	unsigned start = (unsigned)vga->crtc.value[CRTC_START] << 8 | vga->crtc.value[CRTC_START + 1];
	uint16_t changed = 0;

	for (unsigned i = 0; i < VGA_TEXT_CELLS; i++) {
		uint16_t now = cell[(start + i) % CELLS];

		changed |= now ^ vga->taken[i];
		vga->taken[i] = now;
	}
	return changed;
}

/* The screen in characters that any console has. */
static void vga_translate(const struct vga_text *vga, char screen[VGA_TEXT_ROWS][VGA_TEXT_COLUMNS])
{
	for (unsigned i = 0; i < VGA_TEXT_CELLS; i++) {
		uint8_t byte = (uint8_t)vga->taken[i];

		screen[i / VGA_TEXT_COLUMNS][i % VGA_TEXT_COLUMNS] = byte >= ' ' && byte <= '~' ? (char)byte : ' ';
	}
}

static bool row_equal(const char *a, const char *b)
{
	for (unsigned i = 0; i < VGA_TEXT_COLUMNS; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

static unsigned row_length(const char *row)
{
	unsigned length = VGA_TEXT_COLUMNS;

	while (length && row[length - 1] == ' ')
		length--;
	return length;
}

/* By how many rows the screen has moved up: by so many as leave most rows, but for blank ones, what they were. */
static unsigned vga_scrolled(const struct vga_text *vga, char screen[VGA_TEXT_ROWS][VGA_TEXT_COLUMNS])
{
	unsigned best = 0, most = 0;

	for (unsigned by = 0; by < VGA_TEXT_ROWS; by++) {
		unsigned same = 0;

		for (unsigned row = 0; row + by < VGA_TEXT_ROWS; row++)
			same += row_length(screen[row]) && row_equal(screen[row], vga->shown[row + by]);
		if (same > most) {
			most = same;
			best = by;
		}
	}
	return best;
}

void vga_text_show(struct vga_text *vga, void (*line)(void *context, const char *text), void *context)
{
	char screen[VGA_TEXT_ROWS][VGA_TEXT_COLUMNS], text[VGA_TEXT_COLUMNS + 1];
	unsigned by;

	if (!vga_take_cells(vga))
		return;
	vga_translate(vga, screen);
	by = vga_scrolled(vga, screen);
	for (unsigned row = 0; row < VGA_TEXT_ROWS; row++) {
		unsigned length = row_length(screen[row]);

		if (length && (row + by >= VGA_TEXT_ROWS || !row_equal(screen[row], vga->shown[row + by]))) {
			for (unsigned i = 0; i < length; i++)
				text[i] = screen[row][i];
			text[length] = 0;
			line(context, text);
		}
	}
	for (unsigned i = 0; i < VGA_TEXT_CELLS; i++)
		vga->shown[i / VGA_TEXT_COLUMNS][i % VGA_TEXT_COLUMNS] =
			screen[i / VGA_TEXT_COLUMNS][i % VGA_TEXT_COLUMNS];
}

/* SPDX-License-Identifier: MIT */
/* The words have the names of Intel's 8259A data sheet (December 1988). */
#include "guest/devices/pic.h"

enum { PINS = 8, CASCADE = 2, SPURIOUS = 7, NONE = PINS };
enum { COMMAND, DATA };

enum { ICW1 = 0x10, ICW1_FOURTH = 1, ICW2_BASE = 0xf8, ICW4_AUTO_EOI = 2, ICW4_FULLY_NESTED = 0x10 };
enum {
	OCW3 = 8,
	OCW3_READ = 2,
	OCW3_ISR = 1,
	OCW3_POLL = 4,
	OCW3_MASK = 0x40,
	OCW3_SPECIAL = 0x20,
	POLL_INTERRUPT = 0x80
};

/* OCW2's bits 7:5. */
enum {
	ROTATE_AUTO_CLEAR,
	EOI,
	NO_OPERATION,
	SPECIFIC_EOI,
	ROTATE_AUTO_SET,
	ROTATE_EOI,
	SET_PRIORITY,
	ROTATE_SPECIFIC_EOI
};

/* Pins that are edges for good: the timer, the keyboard, the cascade; the RTC and the coprocessor. */
static const uint8_t elcr_writable[2] = {0xf8, 0xde};

static uint8_t bit_of(unsigned pin)
{
	return (uint8_t)(1u << pin);
}

/* The place of the first of these pins in the order of priority, 0 the highest; NONE: there is none. */
static unsigned chip_place(const struct pic_chip *chip, unsigned pins)
{
	for (unsigned place = 0; place < PINS; place++)
		if (pins >> ((chip->lowest + 1 + place) % PINS) & 1)
			return place;
	return NONE;
}

static unsigned chip_pin(const struct pic_chip *chip, unsigned place)
{
	return (chip->lowest + 1 + place) % PINS;
}

/* The pin that the chip asks for an interrupt with; NONE: it does not. */
static unsigned chip_request(const struct pic_chip *chip)
{
	unsigned requested = chip_place(chip, chip->irr & ~chip->imr & 0xffu), serviced = chip->isr;

	if (chip->special_mask)
		serviced &= ~(unsigned)chip->imr;
	/* In this mode the first chip lets the second one interrupt itself. */
	if (chip->fully_nested && chip == chip->pic->chip)
		serviced &= ~(1u << CASCADE);
	return requested < chip_place(chip, serviced) ? chip_pin(chip, requested) : NONE;
}

static void chip_pin_set(struct pic_chip *chip, unsigned pin, bool level)
{
	uint8_t bit = bit_of(pin);

	if (chip->elcr & bit)
		chip->irr = level ? chip->irr | bit : chip->irr & (uint8_t)~bit;
	else if (level && !(chip->wires & bit))
		chip->irr |= bit;
	chip->wires = level ? chip->wires | bit : chip->wires & (uint8_t)~bit;
}

/*
 * The second chip's output is a wire to the first one. It falls between two requests, so that each is an edge; and a
 * request that is gone is gone in the first one, too, which therefore never asks the second one in vain.
 */
static void pic_update(struct pic *pic)
{
	bool second = chip_request(&pic->chip[1]) != NONE;

	if (!second)
		pic->chip[0].irr &= (uint8_t)~bit_of(CASCADE);
	chip_pin_set(&pic->chip[0], CASCADE, false);
	if (second)
		chip_pin_set(&pic->chip[0], CASCADE, true);
	line_set(&pic->output, chip_request(&pic->chip[0]) != NONE);
}

static void chip_acknowledge(struct pic_chip *chip, unsigned pin)
{
	if (!chip->auto_eoi)
		chip->isr |= bit_of(pin);
	else if (chip->rotate_auto)
		chip->lowest = (uint8_t)pin;
	/* A level stays a request while it is there. */
	if (!(chip->elcr & bit_of(pin)))
		chip->irr &= (uint8_t)~bit_of(pin);
}

uint8_t pic_acknowledge(struct pic *pic)
{
	unsigned chip = 0, pin;

	lock_acquire(pic->lock);
	pin = chip_request(&pic->chip[0]);
	if (pin != NONE)
		chip_acknowledge(&pic->chip[0], pin);
	if (pin == CASCADE) {
		chip = 1;
		pin = chip_request(&pic->chip[1]);
		chip_acknowledge(&pic->chip[1], pin);
	}
	if (pin == NONE)
		pin = SPURIOUS;
	pic_update(pic);
	lock_release(pic->lock);
	return (uint8_t)(pic->chip[chip].base + pin);
}

void pic_pin(void *context, unsigned pin, bool level)
{
	struct pic *pic = context;

	chip_pin_set(&pic->chip[pin / PINS], pin % PINS, level);
	pic_update(pic);
}

/* ---- Ports --------------------------------------------------------------------------------------------------------
 */

/* Edges are forgotten, and a wire that is up is none until it has been down. */
static void chip_begin(struct pic_chip *chip, uint8_t word)
{
	*chip = (struct pic_chip){.pic = chip->pic,
				  .elcr = chip->elcr,
				  .wires = chip->wires,
				  .irr = chip->wires & chip->elcr,
				  .base = chip->base,
				  .lowest = PINS - 1,
				  .expected = 2,
				  .fourth = word & ICW1_FOURTH};
}

static void chip_end_of_interrupt(struct pic_chip *chip, unsigned operation, unsigned pin)
{
	unsigned place = chip_place(chip, chip->isr);

	if (operation == EOI || operation == ROTATE_EOI) {
		if (place == NONE)
			return;
		pin = chip_pin(chip, place);
	}
	chip->isr &= (uint8_t)~bit_of(pin);
	if (operation == ROTATE_EOI || operation == ROTATE_SPECIFIC_EOI)
		chip->lowest = (uint8_t)pin;
}

static void chip_operate(struct pic_chip *chip, uint8_t word)
{
	unsigned operation = word >> 5, pin = word % PINS;

	switch (operation) {
	case ROTATE_AUTO_CLEAR:
	case ROTATE_AUTO_SET:
		chip->rotate_auto = operation == ROTATE_AUTO_SET;
		break;
	case EOI:
	case SPECIFIC_EOI:
	case ROTATE_EOI:
	case ROTATE_SPECIFIC_EOI:
		chip_end_of_interrupt(chip, operation, pin);
		break;
	case SET_PRIORITY:
		chip->lowest = (uint8_t)pin;
		break;
	default:
		break;
	}
}

static void chip_command(struct pic_chip *chip, uint8_t word)
{
	if (word & ICW1) {
		chip_begin(chip, word);
	} else if (word & OCW3) {
		chip->poll = word & OCW3_POLL;
		if (word & OCW3_READ)
			chip->read_isr = word & OCW3_ISR;
		if (word & OCW3_MASK)
			chip->special_mask = word & OCW3_SPECIAL;
	} else {
		chip_operate(chip, word);
	}
}

/* A PC's chips are never single; the third word, about the cascade, is the wiring's. */
static void chip_data(struct pic_chip *chip, uint8_t word)
{
	switch (chip->expected) {
	case 2:
		chip->base = word & ICW2_BASE;
		chip->expected = 3;
		break;
	case 3:
		chip->expected = chip->fourth ? 4 : 0;
		break;
	case 4:
		chip->auto_eoi = word & ICW4_AUTO_EOI;
		chip->fully_nested = word & ICW4_FULLY_NESTED;
		chip->expected = 0;
		break;
	default:
		chip->imr = word;
		break;
	}
}

static uint8_t chip_read(struct pic_chip *chip, unsigned offset)
{
	unsigned pin;

	if (chip->poll) {
		chip->poll = false;
		pin = chip_request(chip);
		if (pin == NONE)
			return 0;
		chip_acknowledge(chip, pin);
		return (uint8_t)(POLL_INTERRUPT | pin);
	}
	if (offset == DATA)
		return chip->imr;
	return chip->read_isr ? chip->isr : chip->irr;
}

static uint32_t pic_read(void *context, uint16_t offset, unsigned size)
{
	struct pic_chip *chip = context;
	uint32_t data = 0;

	lock_acquire(chip->pic->lock);
	for (unsigned i = 0; i < size; i++)
		data |= (uint32_t)chip_read(chip, offset + i) << (8 * i);
	pic_update(chip->pic);
	lock_release(chip->pic->lock);
	return data;
}

static void pic_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct pic_chip *chip = context;

	lock_acquire(chip->pic->lock);
	for (unsigned i = 0; i < size; i++)
		if (offset + i == COMMAND)
			chip_command(chip, (uint8_t)(data >> (8 * i)));
		else
			chip_data(chip, (uint8_t)(data >> (8 * i)));
	pic_update(chip->pic);
	lock_release(chip->pic->lock);
}

static uint32_t pic_read_elcr(void *context, uint16_t offset, unsigned size)
{
	struct pic *pic = context;
	uint32_t data = 0;

	lock_acquire(pic->lock);
	for (unsigned i = 0; i < size; i++)
		data |= (uint32_t)pic->chip[offset + i].elcr << (8 * i);
	lock_release(pic->lock);
	return data;
}

static void pic_write_elcr(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct pic *pic = context;

	lock_acquire(pic->lock);
	for (unsigned i = 0; i < size; i++) {
		struct pic_chip *chip = &pic->chip[offset + i];

		chip->elcr = (uint8_t)(data >> (8 * i)) & elcr_writable[offset + i];
		chip->irr = (chip->irr & (uint8_t)~chip->elcr) | (chip->wires & chip->elcr);
	}
	pic_update(pic);
	lock_release(pic->lock);
}

struct port_range pic_ports(struct pic *pic, unsigned chip)
{
	return (struct port_range){chip ? PIC_SECOND_PORT : PIC_FIRST_PORT, 2, pic_read, pic_write, &pic->chip[chip]};
}

struct port_range pic_elcr_ports(struct pic *pic)
{
	return (struct port_range){PIC_ELCR_PORT, 2, pic_read_elcr, pic_write_elcr, pic};
}

void pic_init(struct pic *pic, struct lock *lock, struct line output)
{
	*pic = (struct pic){.lock = lock, .output = output};
	for (unsigned i = 0; i < 2; i++)
		pic->chip[i] = (struct pic_chip){.pic = pic, .lowest = PINS - 1};
}

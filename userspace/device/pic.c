// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two 8259A interrupt controllers of a PC (Intel, order 231468), and the edge/level registers
 * that its chipset adds at 0x4d0. Only with --legacy.
 *
 * Their output is INTR, a wire to LINT0 of vCPU 0. The module watches it (thv_run.intr) and
 * returns from THV_RUN when the vCPU can take an interrupt and LINT0 lets it through; the vCPU's
 * thread then asks pic_acknowledge() for the vector and hands it in. So an interrupt is
 * acknowledged exactly when it is delivered, as on the real wire, and the chips' state is never
 * ahead of the guest's.
 *
 * The MCS-80 mode and buffered mode are left out: a PC has no use for them.
 */
#include "device/pic.h"

#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "vmm/machine.h"
#include "vmm/state.h"
#include "vmm/vcpu.h"

#define CASCADE		2	/* the first's input that the second is at */
#define SPURIOUS	7

#define ICW1		0x10	/* in a write to the even port */
#define ICW1_NEEDS_ICW4	0x01
#define ICW1_SINGLE	0x02
#define ICW4_AUTO_EOI	0x02
#define ICW4_NESTED	0x10	/* special fully nested mode */
#define OCW3		0x08
#define OCW3_READ	0x02
#define OCW3_READ_ISR	0x01
#define OCW3_POLL	0x04
#define OCW3_MASK_SET	0x40
#define OCW3_MASK	0x20
#define POLL_SOMETHING	0x80

/* Inputs that chipsets have edge-triggered, always: clock, keyboard, cascade; clock, coprocessor */
static const u8 always_edge[] = { 0x07, 0x21 };

/* ---- priorities ---------------------------------------------------------- */

/* The bit with the highest priority: the first after the lowest one. -1: there is none. */
static int first(const struct pic_chip *chip, u8 bits)
{
	int i, input;

	for (i = 1; i <= 8; i++) {
		input = (chip->lowest + i) % 8;
		if (bits & 1 << input)
			return input;
	}
	return -1;
}

/* How far from the top: 0 is the highest */
static int rank(const struct pic_chip *chip, int input)
{
	return (input - chip->lowest - 1 + 8) % 8;
}

/*
 * The input that an acknowledge would give, or -1. What is in service keeps out what is not above
 * it; in special mask mode only itself is kept out, if it is masked. In special fully nested mode
 * the second chip may interrupt itself through the first.
 */
static int wanted(const struct pic_chip *chip)
{
	u8 isr = chip->special_mask ? chip->isr & ~chip->imr : chip->isr;
	int request = first(chip, chip->irr & ~chip->imr), serviced = first(chip, isr);

	if (request < 0 || serviced < 0)
		return request;
	if (chip->nested && request == CASCADE && serviced == CASCADE)
		return request;
	return rank(chip, request) < rank(chip, serviced) ? request : -1;
}

/* ---- inputs and the output ------------------------------------------------ */

/* A rising edge is latched until it is acknowledged, a level is only followed */
static void set_input(struct pic_chip *chip, int input, bool level)
{
	u8 bit = 1 << input;

	if (level && (chip->elcr & bit || !(chip->level & bit)))
		chip->irr |= bit;
	else if (!level)
		chip->irr &= ~bit;
	chip->level = level ? chip->level | bit : chip->level & ~bit;
}

/* After every change: the second's output is an input of the first; the first's is INTR */
static void update(struct pic *pic)
{
	bool intr;

	set_input(&pic->chip[0], CASCADE, wanted(&pic->chip[1]) >= 0);
	intr = wanted(&pic->chip[0]) >= 0;
	if (intr == pic->intr)
		return;
	pic->intr = intr;
	pic->output(pic->opaque, intr);
}

void pic_set(struct pic *pic, u32 irq, bool level)
{
	pthread_mutex_lock(&pic->lock);
	set_input(&pic->chip[irq / 8], irq % 8, level);
	update(pic);
	pthread_mutex_unlock(&pic->lock);
}

/* ---- acknowledge, end of interrupt ---------------------------------------- */

static void end(struct pic_chip *chip, int input, bool rotate)
{
	if (input < 0)
		return;
	chip->isr &= ~(1 << input);
	if (rotate)
		chip->lowest = input;
}

/* Of the two INTA cycles, what one chip does. -1: it had nothing any more. */
static int acknowledge(struct pic_chip *chip)
{
	int input = wanted(chip);

	if (input < 0)
		return -1;
	chip->isr |= 1 << input;
	if (!(chip->elcr & 1 << input))
		chip->irr &= ~(1 << input);
	if (chip->automatic_eoi)
		end(chip, input, chip->rotates);
	return input;
}

/*
 * An edge at the cascade that was taken stays latched as long as the second chip asks for more, so
 * its latch is made anew.
 */
u8 pic_acknowledge(struct pic *pic)
{
	struct pic_chip *chip = &pic->chip[0];
	int input;
	u8 vector;

	pthread_mutex_lock(&pic->lock);
	input = acknowledge(chip);
	if (input == CASCADE) {
		chip = &pic->chip[1];
		input = acknowledge(chip);
		set_input(&pic->chip[0], CASCADE, false);
	}
	vector = chip->base + (input < 0 ? SPURIOUS : input);
	update(pic);
	pthread_mutex_unlock(&pic->lock);
	return vector;
}

/* ---- command words -------------------------------------------------------- */

/* ICW1 begins the initialization: all but the levels of the inputs is forgotten */
static void icw1(struct pic_chip *chip, u8 value)
{
	u8 level = chip->level, elcr = chip->elcr;

	*chip = (struct pic_chip){
		.level = level,
		.elcr = elcr,
		.irr = level & elcr,
		.lowest = 7,
		.step = 2,
		.wants_icw4 = value & ICW1_NEEDS_ICW4,
	};
}

static void icw2(struct pic_chip *chip, u8 value)
{
	chip->base = value & 0xf8;
	chip->step = 3;
}

/* Who is at which input is wired in a PC */
static void icw3(struct pic_chip *chip, u8 value)
{
	(void)value;
	chip->step = chip->wants_icw4 ? 4 : 0;
}

static void icw4(struct pic_chip *chip, u8 value)
{
	chip->automatic_eoi = value & ICW4_AUTO_EOI;
	chip->nested = value & ICW4_NESTED;
	chip->step = 0;
}

/* What an odd port takes, by chip->step: the mask, or the ICW that is due */
static void ocw1(struct pic_chip *chip, u8 value)
{
	chip->imr = value;
}

static void (*const odd_writes[])(struct pic_chip *chip, u8 value) = {
	[0] = ocw1, [2] = icw2, [3] = icw3, [4] = icw4,
};

static int highest_serviced(const struct pic_chip *chip)
{
	return first(chip, chip->special_mask ? chip->isr & ~chip->imr : chip->isr);
}

/* OCW2's bits 7:5: rotate, specific, EOI */
static void ocw2(struct pic_chip *chip, u8 value)
{
	int input = value & 7;

	switch (value >> 5) {
	case 0:					/* rotation in automatic EOI: off */
		chip->rotates = false;
		break;
	case 4:
		chip->rotates = true;
		break;
	case 1:					/* EOI, without and with rotation */
	case 5:
		end(chip, highest_serviced(chip), value >> 7);
		break;
	case 3:					/* EOI of one input */
	case 7:
		end(chip, input, value >> 7);
		break;
	case 6:					/* set priority */
		chip->lowest = input;
		break;
	}
}

static void ocw3(struct pic_chip *chip, u8 value)
{
	chip->polled = value & OCW3_POLL;
	if (value & OCW3_READ)
		chip->reads_isr = value & OCW3_READ_ISR;
	if (value & OCW3_MASK_SET)
		chip->special_mask = value & OCW3_MASK;
}

static void write_even(struct pic_chip *chip, u8 value)
{
	if (value & ICW1)
		icw1(chip, value);
	else if (value & OCW3)
		ocw3(chip, value);
	else
		ocw2(chip, value);
}

/* A poll is an acknowledge by a read */
static u8 poll(struct pic_chip *chip)
{
	int input = acknowledge(chip);

	chip->polled = false;
	return input < 0 ? 0 : POLL_SOMETHING | input;
}

static u8 read_chip(struct pic_chip *chip, bool odd)
{
	if (chip->polled)
		return poll(chip);
	if (odd)
		return chip->imr;
	return chip->reads_isr ? chip->isr : chip->irr;
}

static u64 access_chip(struct pic *pic, struct pic_chip *chip, bool odd, bool write, u8 value)
{
	u8 result = 0;

	pthread_mutex_lock(&pic->lock);
	if (!write)
		result = read_chip(chip, odd);
	else if (odd)
		odd_writes[chip->step](chip, value);
	else
		write_even(chip, value);
	update(pic);
	pthread_mutex_unlock(&pic->lock);
	return result;
}

u64 pic_access(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct pic *pic = device;

	(void)length;
	return access_chip(pic, &pic->chip[0], offset, write, value);
}

u64 pic_access_second(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct pic *pic = device;

	(void)length;
	return access_chip(pic, &pic->chip[1], offset, write, value);
}

u64 pic_access_elcr(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct pic *pic = device;
	struct pic_chip *chip = &pic->chip[offset];
	u8 result;

	(void)length;
	pthread_mutex_lock(&pic->lock);
	if (write) {
		chip->elcr = value & ~always_edge[offset];
		chip->irr = (chip->irr & ~chip->elcr) | (chip->level & chip->elcr);
	}
	result = chip->elcr;
	update(pic);
	pthread_mutex_unlock(&pic->lock);
	return result;
}

/* ---- the state ------------------------------------------------------------ */

#define CHIP(number, member, ...) \
	STATE_NAMED(#member #number, struct pic, chip[number].member, ##__VA_ARGS__)
#define CHIP_FIELDS(number)						\
	CHIP(number, irr), CHIP(number, isr), CHIP(number, imr),	\
	CHIP(number, level), CHIP(number, elcr), CHIP(number, base),	\
	CHIP(number, lowest, .maximum = 7),				\
	CHIP(number, wants_icw4, .maximum = 1),				\
	CHIP(number, automatic_eoi, .maximum = 1),			\
	CHIP(number, rotates, .maximum = 1),				\
	CHIP(number, special_mask, .maximum = 1),			\
	CHIP(number, nested, .maximum = 1),				\
	CHIP(number, reads_isr, .maximum = 1),				\
	CHIP(number, polled, .maximum = 1)

/* step is a place in odd_writes[], and not every number is one: told and checked by itself */
static const struct state_field fields[] = { CHIP_FIELDS(0), CHIP_FIELDS(1), { 0 } };

int pic_save(void *opaque, const char *name, struct state *state)
{
	struct pic *pic = opaque;

	pthread_mutex_lock(&pic->lock);
	state_begin(state, name, 1);
	state_save(state, fields, pic);
	state_put(state, "step0", pic->chip[0].step);
	state_put(state, "step1", pic->chip[1].step);
	pthread_mutex_unlock(&pic->lock);
	return state_end(state);
}

static int restore_step(struct state_record *record, const char *field, u64 *step)
{
	if (state_get(record, field, ARRAY_SIZE(odd_writes) - 1, step))
		return -1;
	return odd_writes[*step] ? 0 : error_set("%s: %s: impossible", record->what, field);
}

/* The wire's level follows from the rest; whoever has it is told */
int pic_restore(void *opaque, const char *name, const struct state *state)
{
	struct state_record record;
	struct pic *pic = opaque;
	u64 step[2];

	if (state_find(state, name, 1, &record) || restore_step(&record, "step0", &step[0]) ||
	    restore_step(&record, "step1", &step[1]) || state_restore(&record, fields, pic) ||
	    state_done(&record))
		return -1;
	pthread_mutex_lock(&pic->lock);
	pic->chip[0].step = step[0];
	pic->chip[1].step = step[1];
	pic->intr = wanted(&pic->chip[0]) >= 0;
	pic->output(pic->opaque, pic->intr);
	pthread_mutex_unlock(&pic->lock);
	return 0;
}

/* ---- the device ----------------------------------------------------------- */

/* As a BIOS leaves them that has not yet been asked: nothing gets through */
void pic_init(struct pic *pic, void (*output)(void *opaque, bool level), void *opaque)
{
	u32 i;

	*pic = (struct pic){
		.lock = PTHREAD_MUTEX_INITIALIZER, .output = output, .opaque = opaque,
	};
	for (i = 0; i < 2; i++) {
		pic->chip[i].imr = 0xff;
		pic->chip[i].lowest = 7;
		pic->chip[i].base = i ? 0x70 : 0x08;
	}
}

static void to_vcpu(void *opaque, bool level)
{
	struct machine *machine = opaque;

	vcpu_intr(&machine->vcpu[0], level);
}

static int create(struct machine *machine)
{
	struct pic *pic;

	if (!machine->config->legacy)
		return 0;
	pic = malloc(sizeof(*pic));
	if (!pic || machine_at_end(machine, free, pic))
		return error_set("out of memory");
	pic_init(pic, to_vcpu, machine);
	machine->pic = pic;
	if (bus_claim_ports(&machine->bus, 0x20, 2, 1, pic_access, pic) ||
	    bus_claim_ports(&machine->bus, 0xa0, 2, 1, pic_access_second, pic) ||
	    bus_claim_ports(&machine->bus, 0x4d0, 2, 1, pic_access_elcr, pic))
		return -1;
	return state_add(machine, "pic", pic_save, pic_restore, pic);
}

DEVICE(pic, create);

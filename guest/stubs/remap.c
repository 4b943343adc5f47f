/* SPDX-License-Identifier: MIT */
/*
 * Hammers devices while the map changes under them: ranges are added, removed, moved, resized, replaced and swapped in
 * one transaction, and everything is invalidated, sometimes by the host between two exits and sometimes by the callback
 * of the n-th access from now. The very next access after a commit must see the new map.
 */
#include "guest/stubs/lib.h"

enum {
	DEFAULT_CHANGES = 240,
	ACCESSES_BETWEEN = 200,
	NR_PLACES = 8,
	LONGEST_PLAN = 24,
	CHANGES_A_COUNT = 10, /* statistics are slow: counted are two changes of so many */
};

/* The places where devices stand, each large enough for the largest size. */
static uint64_t place(unsigned i)
{
	return 0xd0100000 + (uint64_t)i * ABI_BANK_SIZE;
}

struct model {
	enum abi_device_id id;
	bool present;
	unsigned place;
	uint32_t size;
	uint64_t releases;
	uint8_t registers[ABI_BANK_SIZE];
};

static struct model models[] = {
	{.id = DEVICE_BANK0, .present = true, .place = 0, .size = 0x1000},
	{.id = DEVICE_BANK1, .present = true, .place = 1, .size = 0x1000},
	{.id = DEVICE_BANK2, .present = true, .place = 2, .size = 0x1000},
	{.id = DEVICE_BANK3, .present = true, .place = 3, .size = 0x1000},
	{.id = DEVICE_SPARE, .present = false, .place = 4, .size = 0x1000},
};

enum { NR_MODELS = sizeof(models) / sizeof(models[0]) };

/* Parts of a page make it a shared one, which goes a longer way: whole pages are more frequent. */
static const uint32_t sizes[] = {0x400, 0x1000, 0x1000, 0x1000, 0x1800, 0x2000, 0x2000, 0x2000};

/* A change, and who it is about. */
struct change {
	enum abi_edit edit;
	struct model *model, *second;
	uint64_t operand;
	unsigned place;
};

static uint64_t address(const struct model *model, uint32_t offset)
{
	return place(model->place) + offset;
}

static unsigned free_place(void)
{
	for (;;) {
		unsigned candidate = lib_random_below(NR_PLACES);
		bool taken = false;

		for (unsigned i = 0; i < NR_MODELS; i++)
			taken |= models[i].present && models[i].place == candidate;
		if (!taken)
			return candidate;
	}
}

static struct model *present_model(void)
{
	for (;;) {
		struct model *model = &models[lib_random_below(NR_MODELS)];

		if (model->present)
			return model;
	}
}

/* One access to a device that is there, at a random offset: unsplit, so that the host can count. */
static void access_device(struct model *model)
{
	uint64_t value = lib_random();
	bool store = value & 1;
	/* Small loads go a longer way in the library; a few are enough. */
	unsigned size = store || (value & 0x1e) == 0 ? 1u << (value >> 8 & 3) : 4u << (value >> 8 & 1);
	uint32_t offset = lib_random_below(model->size) & -size;

	if (store) {
		lib_write(address(model, offset), value, size);
		lib_poke(model->registers + offset, value, size);
	} else {
		CHECK_EQUAL(lib_read(address(model, offset), size), lib_peek(model->registers + offset, size));
	}
}

/* One access where nothing is. */
static void access_nothing(uint64_t at)
{
	if (lib_random() & 1)
		write32(at, 0x12345678);
	CHECK_EQUAL(read32(at), UINT32_MAX);
}

static struct change random_change(void)
{
	struct change change = {.edit = (enum abi_edit)lib_random_below(EDIT_INVALIDATE + 1)};

	/* The first absent device is added, and one device at least stays. */
	for (unsigned i = 0; i < NR_MODELS; i++)
		if (!models[i].present && (change.edit == EDIT_ADD || change.edit == EDIT_REMOVE)) {
			change.edit = EDIT_ADD;
			change.model = &models[i];
		}
	if (!change.model && change.edit == EDIT_ADD)
		change.edit = EDIT_REMOVE;
	if (!change.model)
		change.model = present_model();
	change.place = free_place();
	change.second = change.model;
	change.operand = place(change.place);
	if (change.edit == EDIT_RESIZE)
		change.operand = sizes[lib_random_below(sizeof(sizes) / sizeof(sizes[0]))];
	while (change.edit == EDIT_SWAP && change.second == change.model)
		change.second = present_model();
	return change;
}

/* Makes entries of the places that the change is about, so that they could stay behind as wrongly fresh. */
static void touch(const struct change *change)
{
	if (change->model->present)
		access_device(change->model);
	if (change->second != change->model)
		access_device(change->second);
	access_nothing(place(change->place));
	if (change->model->present && change->model->size < ABI_BANK_SIZE)
		access_nothing(address(change->model, change->model->size));
}

static void follow(const struct change *change)
{
	struct model *model = change->model;
	unsigned old = model->place;

	if (change->edit == EDIT_ADD)
		model->present = true;
	if (change->edit == EDIT_REMOVE)
		model->present = false;
	if (change->edit == EDIT_REMOVE || change->edit == EDIT_REPLACE)
		model->releases++;
	if (change->edit == EDIT_RESIZE)
		model->size = (uint32_t)change->operand;
	if (change->edit == EDIT_ADD || change->edit == EDIT_MOVE || change->edit == EDIT_REPLACE)
		model->place = change->place;
	if (change->edit == EDIT_SWAP) {
		model->place = change->second->place;
		change->second->place = old;
	}
}

/*
 * What the very next accesses must see. `old` is where the device was. Now and then it is also counted that the first
 * of them found its entry stale: a general way through the library would serve a wrongly fresh one rightly.
 */
static void check_new_map(const struct change *change, unsigned old, bool count)
{
	struct model *model = change->model;
	bool left = change->edit == EDIT_REMOVE || change->edit == EDIT_MOVE || change->edit == EDIT_REPLACE;
	bool old_first = left && (!model->present || lib_random() & 1);
	uint64_t stale = count ? lib_stats().stale : 0;

	if (old_first)
		access_nothing(place(old));
	else
		access_device(model);
	if (count)
		CHECK_EQUAL(lib_stats().stale, stale + 1);
	if (old_first && model->present)
		access_device(model);
	else if (left && model->present)
		access_nothing(place(old));
	if (change->second != model)
		access_device(change->second);
	if (change->edit == EDIT_RESIZE && model->size < ABI_BANK_SIZE)
		access_nothing(address(model, model->size));
	if (change->edit == EDIT_RESIZE)
		CHECK_EQUAL(read8(address(model, model->size - 1)), model->registers[model->size - 1]);
}

static void check_releases(const struct model *model)
{
	struct abi_device device = lib_device(model->id);

	CHECK_EQUAL(device.releases, model->releases);
	CHECK_EQUAL(device.live_ranges, model->present);
}

static void commit_outside(const struct change *change, uint64_t devices)
{
	CHECK_EQUAL(vmcall(HC_EDIT, change->edit, devices, change->operand, 0), 0);
}

static void commit_in_callback(const struct change *change, uint64_t devices)
{
	unsigned after = 1 + lib_random_below(LONGEST_PLAN);

	CHECK_EQUAL(vmcall(HC_EDIT, change->edit, devices, change->operand, after), 0);
	for (unsigned i = 0; i + 1 < after; i++)
		access_device(present_model());
	/* The callback that commits is often the changed device's own. */
	access_device(change->model->present && lib_random() & 1 ? change->model : present_model());
}

static void change_map(bool in_callback, bool count)
{
	struct change change = random_change();
	unsigned old = change.model->place;
	uint64_t devices = change.model->id | (uint64_t)change.second->id << 32;

	touch(&change);
	if (in_callback)
		commit_in_callback(&change, devices);
	else
		commit_outside(&change, devices);
	follow(&change);
	check_new_map(&change, old, count);
	if (in_callback) {
		uint64_t status = vmcall(HC_PLAN_STATUS, 0, 0, 0, 0);

		/* What takes an address away is only pending inside a callback (TL_PENDING is 1). */
		if (change.edit == EDIT_REMOVE || change.edit == EDIT_REPLACE)
			CHECK_EQUAL(status, 1);
		CHECK(status <= 1);
	}
	check_releases(change.model);
}

int main(const struct mb1_info *info)
{
	uint64_t changes = lib_number(info, "changes=", DEFAULT_CHANGES);

	for (unsigned i = 0; i < NR_MODELS; i++)
		if (models[i].present)
			CHECK_EQUAL(lib_edit(EDIT_MOVE, models[i].id, place(models[i].place)), 0);
	for (uint64_t i = 0; i < changes; i++) {
		for (unsigned n = 0; n < ACCESSES_BETWEEN; n++)
			access_device(present_model());
		change_map(i & 1, i % CHANGES_A_COUNT == 0 || i % CHANGES_A_COUNT == 1);
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * A guest that has a PC: the devices of machine.h, as many vCPUs as processors with local APICs, and the CPUs of the
 * host that run them. A vCPU belongs to one of those CPUs for all of its run; that CPU alone touches what is the
 * vCPU's.
 */
#ifndef GUEST_PC_PC_H
#define GUEST_PC_PC_H

#include "guest/devices/local_apic.h"
#include "guest/guest.h"
#include "guest/options.h"
#include "guest/pc/firmware_files.h"
#include "guest/pc/machine.h"
#include "guest/pc/pc_memory.h"
#include <stdatomic.h>

/*
 * The first piece of RAM ends where a VGA's memory begins, the second one begins behind the firmware's. From PC_ROM up
 * to the firmware's tables are the places of adapters' ROMs: memory of ones, since kernels look all through it. Where a
 * guest brings its firmware, that finds RAM there, and decides what becomes of it.
 */
enum {
	PC_LOW_RAM = 0xa0000,
	PC_ROM = 0xc0000,
	PC_HIGH_RAM = 0x100000,
	PC_LEAST_RAM = 0x200000,
	PC_EBDA = 0x9fc00,
	PC_LINE = 128
};

/* What other CPUs ask of a vCPU. A processor has taken an NMI before another comes, and holds that: two at most. */
enum { PC_EVENT_NMI = 1 << 0, PC_EVENT_INIT = 1 << 1, PC_EVENT_STARTUP = 1 << 2, PC_EVENT_SECOND_NMI = 1 << 3 };

enum pc_activity {
	PC_RUNS,
	PC_HALTED,
	PC_HALTED_MASKED, /* with interrupts off */
	PC_WAITS,         /* for a SIPI */
};

struct pc_vcpu {
	struct pc *pc;
	struct tl_vcpu *vcpu;
	unsigned index, cpu; /* cpu: the number of the host's CPU that runs it */
	struct tl_exit exit;
	struct local_apic apic;
	_Atomic unsigned activity; /* enum pc_activity; only its own CPU changes it */
	int64_t tsc_adjust;        /* that its APIC knows of */
	uint64_t turn_ends;        /* ticks of the host, where vCPUs share its CPU */
	bool has_budget;           /* or else it is set at the next turn */
	uint64_t look;             /* guest time: when its CPU has to look after something else than timers */
	uint64_t apic_at;          /* where its APIC's page has been counted */
	void *apic_page;           /* the virtual-APIC page; NULL: the CPU serves nothing of it */
	struct tl_apic virtual_apic;
	_Atomic unsigned events;
	_Atomic bool asleep;              /* its CPU may halt with it */
	_Atomic uint8_t startup;          /* the vector of PC_EVENT_STARTUP */
	_Atomic bool taken, wanted, held; /* by who looks at the machine from outside (view.h) */
} __attribute__((aligned(64)));

struct pc_cpu {
	struct pc *pc;
	unsigned number;
	struct pc_vcpu *_Atomic turn; /* whose it is */
};

/* A place of local APICs' registers, and how many of them are there. */
struct pc_apic_page {
	uint64_t at;
	unsigned users;
	tl_range_id id;
	bool mapped;  /* else a device is there, and is what is seen */
	bool virtual; /* a TL_RANGE_APIC */
};

/* What the guest has written and has not been shown. The machine's lock. */
struct pc_line {
	struct pc *pc;
	char text[PC_LINE];
	unsigned length;
	uint64_t last;  /* when something was added, in guest time */
	bool is_prompt; /* what was shown of it last did not end it */
};

struct pc {
	const struct guest_services *services;
	const char *name;
	struct tl_vm *vm;
	unsigned nr_vcpus, nr_cpus;
	uint64_t tsc_offset, hz;
	uint64_t ends; /* by its timeout=, in guest time; 0: never */
	uint64_t slice;
	void *block, *disk, *rom; /* what was allocated */
	size_t block_pages, disk_pages, rom_pages;
	struct load_image firmware; /* that the guest brings; of size 0: it brings none */
	uint8_t *ram;               /* guest-physical 0 */
	uint64_t memory_size;
	struct load_memory memory;
	struct load_map_entry map[4];
	uint32_t rsdp; /* the address of ACPI's root pointer */
	struct firmware_files files;
	struct machine machine;
	/* For the pages and the memory below. Held over commits, which wait for nothing in the callbacks that make
	 * them. */
	struct lock apic_pages;
	struct pc_memory mapped_memory;
	struct pc_apic_page apic_page[LOCAL_APICS_MOST];
	void *apic_access_page; /* of a TL_RANGE_APIC */
	/* The word shake: how often it was done, and a range that is there every other time (pc_shake.c). */
	bool shake, shake_added;
	unsigned shakes;
	tl_range_id shake_id;
	_Atomic uint64_t due; /* in guest time, when the devices' clock has something to do at the latest */
	/* Over what other CPUs ask of vCPUs, and over a vCPU's coming to rest with interrupts off, or for a SIPI. */
	struct lock resting;
	/* The end: the first to claim it says how. */
	atomic_flag end_claimed;
	_Atomic bool ended;
	unsigned ending; /* enum guest_ending */
	uint64_t code;
	char how[160];
	/* Of its serial port, and of its debug consoles: firmware writes to both at once. */
	struct pc_line line, debug_line;
	uint64_t screen_shown; /* when, in guest time */
	int typed;             /* a key that the guest's port had no room for, or -1 */
	struct guest_view view;
	struct pc_cpu cpu[TL_MAX_CPUS];
	struct pc_vcpu vcpu[LOCAL_APICS_MOST];
};

/* Runs the module as guest_run() does, on a PC. Preconditions: those of guest_run(); the options are the module's. */
void pc_run_guest(const struct guest_module *module, const struct guest_services *services,
		  const struct guest_options *options, struct guest_report *report);

/* ---- Its parts --------------------------------------------------------------------------------------------------- */

/* *pc is zeroed memory with its services. False, with nothing left allocated and one sentence in `why`. */
bool pc_create(struct pc *pc, const struct guest_options *options, const struct load_image *disk, char *why,
	       size_t size);
void pc_destroy(struct pc *pc);

/* Runs all vCPUs until the guest has ended. Context: host, the first CPU. */
void pc_run(struct pc *pc);

/* Has a vCPU that was taken execute one instruction: see view.h. */
enum tl_status pc_step(struct pc_vcpu *vcpu);

/* Has the vCPU leave its guest when the first of its timers, or of the devices', is due. Context: its own CPU. */
enum tl_status pc_set_deadline(struct pc_vcpu *vcpu);

/* The host's TSC (pc_time.c), and the guest's time, in ticks of both. */
uint64_t pc_host_ticks(void);
static inline uint64_t pc_now(const struct pc *pc)
{
	return pc_host_ticks() + pc->tsc_offset;
}

/* The guest has ended so. Context: any. */
void pc_end(struct pc *pc, unsigned ending, uint64_t code, const char *how);

/* What the vCPU does from now on. Where nothing can wake any of them any more, the guest has ended. Context: its CPU,
 * host. */
void pc_rest(struct pc_vcpu *vcpu, enum pc_activity activity);

/* What the local APICs' bus does to processors, and the processors themselves. pc_cpu.c */
void pc_cpus_init(struct pc *pc);
enum tl_status pc_cpu_create(struct pc *pc, unsigned index);
/* The vCPU's local APIC, in the map and to the library; what it was made of is freed. pc_apic.c */
enum tl_status pc_apic_create(struct pc_vcpu *vcpu);
void pc_apics_free(struct pc *pc);
/* For struct local_apic_bus. */
void pc_apic_moved(struct local_apic *apic);

/* Has every vCPU forget its translations of the memory at `gpa`. Waits as a commit does. Context: host. */
void pc_flush_page(void *context, uint64_t gpa);
void pc_apic_beneath(struct tl_mmio *access);
/* Serves what others asked for. Context: the vCPU's CPU, host. */
void pc_cpu_take_events(struct pc_vcpu *vcpu);
/* Shows what the guest has written so far; the second one where the machine's lock is held; the third one ends it, for
 * what comes behind. */
void pc_show(struct pc *pc);
void pc_show_line(struct pc_line *line);
void pc_show_end(struct pc *pc);
/* Shows the rows of its screen that are new. Context: host, the first CPU. */
void pc_show_screen(struct pc *pc);
/* Prints all vCPUs' exits by reason. Context: host, once the guest has ended. */
void pc_show_exits(const struct pc *pc);
void pc_put(void *context, uint8_t byte); /* the context is a line */
/* Gives the guest what was typed. Context: host, the first CPU. */
void pc_type(struct pc *pc);

/* The guest's firmware: what there is of it in memory, and what it is told of the machine. pc_firmware.c */
bool pc_firmware_check(const struct load_image *image, char *why, size_t size);
bool pc_firmware_allocate(struct pc *pc);
struct tl_range pc_firmware_range(const struct pc *pc);
bool pc_firmware_init(struct pc *pc);
/* The guest's modules `+fw_cfg NAME` are files of fw_cfg. False, and one sentence in `why`, if they cannot be. */
bool pc_firmware_add_modules(struct pc *pc, const struct guest_module *module, char *why, size_t size);

void pc_view_init(struct pc *pc, uint64_t began);

#endif

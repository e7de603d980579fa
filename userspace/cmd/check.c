// SPDX-License-Identifier: GPL-2.0-only
/*
 * thv check: can this machine run guests, what does it offer, and what is in the
 * way. It changes nothing and needs no rights; what only the module can see, the
 * module says in the kernel log when it refuses to load.
 */
#include <cpuid.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "lib/device.h"
#include "lib/error.h"
#include "lib/json.h"
#include "vmm/sandbox.h"

struct check_values {
	bool json;
};

/* One thing that was looked at */
struct finding {
	const char *name;
	enum { GOOD, NOTE, BAD } verdict;
	char text[400];		/* the fact; if it is bad, the remedy after it */
};

struct machine_facts {
	bool intel, amd, hypervisor;
	bool module;			/* thv is loaded */
	bool kvm, kvm_module, kvm_used;	/* kvm_intel or kvm_amd; as a module; with guests */
	struct thv_info info;
	bool has_info;
};

static const struct option_row options[] = {
	{ "json", NULL, "print it as JSON", option_flag,
	  .field = offsetof(struct check_values, json) },
	{ 0 }
};

static const struct option_status statuses[] = {
	{ 0, "this machine can run guests now" },
	{ 1, "it cannot; what is in the way was printed" },
	{ 0, NULL }
};

__attribute__((format(printf, 3, 4)))
static void find(struct finding *finding, int verdict, const char *format, ...)
{
	va_list arguments;

	finding->verdict = verdict;
	va_start(arguments, format);
	vsnprintf(finding->text, sizeof(finding->text), format, arguments);
	va_end(arguments);
}

/* ---- facts -------------------------------------------------------------- */

static void read_cpuid(struct machine_facts *facts)
{
	unsigned int a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d)) {
		facts->intel = c & (1u << 5);		/* VMX */
		facts->hypervisor = c & (1u << 31);
	}
	if (__get_cpuid(0x80000001, &a, &b, &c, &d))
		facts->amd = c & (1u << 2);		/* SVM */
}

static void read_module(struct machine_facts *facts, const char *name, int users)
{
	if (!strcmp(name, "thv"))
		facts->module = true;
	if (strcmp(name, "kvm_intel") && strcmp(name, "kvm_amd"))
		return;
	facts->kvm_module = true;
	facts->kvm_used = users > 0;
}

static void read_modules(struct machine_facts *facts)
{
	FILE *file = fopen("/proc/modules", "re");
	char line[4096], name[64];
	int users;

	/* Built into the kernel it is here, too, but not in the list of modules */
	facts->kvm = !access("/sys/module/kvm_intel", F_OK) ||
		     !access("/sys/module/kvm_amd", F_OK);
	if (!file)
		return;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%63s %*s %d", name, &users) == 2)
			read_module(facts, name, users);
	fclose(file);
}

/* ---- findings: each looks at one thing; some facts come to light on the way */

static void check_processor(struct machine_facts *facts, struct finding *finding)
{
	finding->name = "processor";
	if (facts->intel)
		find(finding, GOOD, "has VMX, Intel's virtualization%s",
		     facts->hypervisor ? " (and is itself a guest's)" : "");
	else if (facts->amd)
		find(finding, NOTE, "has SVM, AMD's virtualization; the module says whether it can use it");
	else if (facts->hypervisor)
		find(finding, BAD, "no VMX in CPUID: this is a guest whose hypervisor does not offer it; turn nested virtualization on there, or use `make run`, which brings an emulated machine");
	else
		find(finding, BAD, "no VMX in CPUID: too old a processor, or the firmware hides it; look for \"Virtualization Technology\" in the firmware's setup, or use `make run`, which brings an emulated machine");
}

static void check_kvm(struct machine_facts *facts, struct finding *finding)
{
	finding->name = "other hypervisors";
	if (!facts->kvm)
		find(finding, GOOD, "KVM is not there");
	else if (facts->has_info)
		find(finding, NOTE, "KVM is loaded, and has left the processor to thv; KVM guests will not start");
	else if (!facts->kvm_module)
		find(finding, NOTE, "KVM is built into this kernel; where it holds the processor's virtualization (Linux 6.12), boot with kvm.enable_virt_at_load=0");
	else
		find(finding, BAD, "KVM is loaded%s and may hold the processor's virtualization; %srun `modprobe -r kvm_intel` as root, or boot with kvm.enable_virt_at_load=0",
		     facts->kvm_used ? ", has guests," : "",
		     facts->kvm_used ? "end its guests, then " : "");
}

/* A module that is loaded has been through all that check_processor() doubts */
static void check_device(struct machine_facts *facts, struct finding *finding)
{
	int fd = device_open();

	finding->name = "module";
	if (fd >= 0 && !device_info(fd, &facts->info))
		facts->has_info = true;
	if (facts->has_info)
		find(finding, GOOD, "loaded; interface version %u, %s, up to %u vCPUs a VM, %u-bit guest addresses",
		     facts->info.api_version, device_backend_name(facts->info.backend),
		     facts->info.max_vcpus, facts->info.guest_phys_bits);
	else if (fd < 0 && facts->module && access(THV_DEVICE, F_OK))
		find(finding, BAD, "loaded, but %s is missing; wait for udev, or look at the kernel log",
		     THV_DEVICE);
	else
		find(finding, BAD, "%s", error_text());
	if (fd >= 0)
		close(fd);
}

static void check_paging(struct machine_facts *facts, struct finding *finding)
{
	if (!facts->has_info)
		return;
	finding->name = "paging";
	if (facts->info.used & THV_FEATURE_EPT)
		find(finding, GOOD, "second-level (EPT)%s",
		     facts->info.used & THV_FEATURE_EPT_2M ? ", with 2 MiB pages" : "");
	else
		find(finding, NOTE, "shadow: this processor has no EPT; guests run, slower");
}

/* What is missing makes no guest fail, but for seccomp, and costs a wall between it and us */
static void check_sandbox(struct machine_facts *facts, struct finding *finding)
{
	struct sandbox_offer offer;
	char landlock[100] = "no Landlock (boot with lsm=landlock,... if the kernel has it, from 5.13 on)";

	(void)facts;
	sandbox_offer(&offer);
	finding->name = "sandbox";
	if (!offer.seccomp) {
		find(finding, BAD, "this kernel has no seccomp filters; `thv run` wants them, or --sandbox off");
		return;
	}
	if (offer.landlock)
		snprintf(landlock, sizeof(landlock), "Landlock (version %d)", offer.landlock);
	find(finding, offer.landlock && offer.namespaces ? GOOD : NOTE, "seccomp, %s, %s", landlock,
	     offer.namespaces ? "namespaces" :
	     "no namespaces for you (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)");
}

/* In this order: later ones use what earlier ones found */
static void (*const checks[])(struct machine_facts *facts, struct finding *finding) = {
	check_processor, check_device, check_kvm, check_paging, check_sandbox,
};

/* ---- printing ----------------------------------------------------------- */

static const char *const verdicts[] = { [GOOD] = "ok", [NOTE] = "note", [BAD] = "in the way" };

static void print_features(const struct thv_info *info)
{
	const struct device_feature *feature;
	char left[64];

	printf("\nFeatures (* in use, - offered, not in use):\n");
	for (feature = device_features; feature->bit; feature++) {
		if (!(info->offered & feature->bit))
			continue;
		snprintf(left, sizeof(left), "  %c %s", info->used & feature->bit ? '*' : '-',
			 feature->name);
		options_wrap(stdout, left, 26, feature->meaning);
	}
}

static void print_text(const struct machine_facts *facts, const struct finding *findings,
		       bool usable)
{
	char left[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(checks); i++) {
		if (!findings[i].name)
			continue;
		snprintf(left, sizeof(left), "%-12s%s", verdicts[findings[i].verdict],
			 findings[i].name);
		options_wrap(stdout, left, 32, findings[i].text);
	}
	if (facts->has_info)
		print_features(&facts->info);
	printf("\n%s\n", usable ? "This machine can run guests." :
	       "This machine cannot run guests now.");
}

static void json_features(struct json *json, const struct thv_info *info)
{
	const struct device_feature *feature;

	json_open(json, "features", '[');
	for (feature = device_features; feature->bit; feature++) {
		json_open(json, NULL, '{');
		json_text(json, "name", feature->name);
		json_text(json, "meaning", feature->meaning);
		json_bool(json, "offered", info->offered & feature->bit);
		json_bool(json, "used", info->used & feature->bit);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_module(struct json *json, const struct thv_info *info)
{
	json_open(json, "module", '{');
	json_number(json, "api_version", info->api_version);
	json_text(json, "backend", device_backend_name(info->backend));
	json_number(json, "max_vcpus", info->max_vcpus);
	json_number(json, "max_slots", info->max_slots);
	json_number(json, "guest_phys_bits", info->guest_phys_bits);
	json_number(json, "tsc_khz", info->tsc_khz);
	json_features(json, info);
	json_close(json, '}');
}

static void print_json(const struct machine_facts *facts, const struct finding *findings,
		       bool usable)
{
	struct json json = { .file = stdout };
	size_t i;

	json_open(&json, NULL, '{');
	json_bool(&json, "usable", usable);
	json_open(&json, "checks", '[');
	for (i = 0; i < ARRAY_SIZE(checks); i++) {
		if (!findings[i].name)
			continue;
		json_open(&json, NULL, '{');
		json_text(&json, "name", findings[i].name);
		json_text(&json, "verdict", verdicts[findings[i].verdict]);
		json_text(&json, "text", findings[i].text);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	if (facts->has_info)
		json_module(&json, &facts->info);
	json_close(&json, '}');
	printf("\n");
}

static int run(void *opaque)
{
	struct finding findings[ARRAY_SIZE(checks)] = { 0 };
	const struct check_values *values = opaque;
	struct machine_facts facts = { 0 };
	bool usable = true;
	size_t i;

	read_cpuid(&facts);
	read_modules(&facts);
	for (i = 0; i < ARRAY_SIZE(checks); i++) {
		checks[i](&facts, &findings[i]);
		usable = usable && findings[i].verdict != BAD;
	}
	(values->json ? print_json : print_text)(&facts, findings, usable);
	return !usable;
}

const struct command cmd_check = {
	.name = "check",
	.summary = "tell whether this machine can run guests, and what is in the way",
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct check_values),
	.run = run,
};

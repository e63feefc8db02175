/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts from the program into real guests: lines, messages, eventfds; and
 * guests' writes into eventfds.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/kvm/kvm_fixture.h"

#define HANDLER 0x5000

static void set_vector(struct fixture *f, unsigned int vector)
{
	memcpy(f->mem + vector * 4, (const uint16_t[]){HANDLER, 0}, 4);
}

#define LOAD_HANDLER(f, name) \
	memcpy((f)->mem + HANDLER, name##_begin, (size_t)(name##_end - name##_begin))

static int line(const struct fixture *f, uint32_t gsi, uint32_t level)
{
	struct kvm_irq_level irq = {.irq = gsi, .level = level};

	return ioctl_errno(f->vm, KVM_IRQ_LINE, &irq);
}

static int line_status(const struct fixture *f, uint32_t gsi, uint32_t level)
{
	struct kvm_irq_level irq = {.irq = gsi, .level = level};

	assert_int_equal(ioctl_errno(f->vm, KVM_IRQ_LINE_STATUS, &irq), 0);
	return irq.status;
}

static void enable_apic(const struct fixture *f)
{
	struct kvm_lapic_state lapic;

	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_LAPIC, &lapic), 0);
	lapic.regs[0xf1] |= 1;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_LAPIC, &lapic), 0);
}

static void ds_base(const struct fixture *f, uint64_t base)
{
	struct kvm_sregs sregs;

	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.ds.base = base;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
}

/* ---- by the 8259 ------------------------------------------------------------------------ */

#define INIT_PIC                                                              \
	"mov $0x11, %al\n out %al, $0x20\n mov $0x20, %al\n out %al, $0x21\n" \
	"mov $4, %al\n out %al, $0x21\n mov $1, %al\n out %al, $0x21\n"

GUEST16(pic_guest, INIT_PIC "out %al, $0x10\n" /* ready */
			    "sti\n hlt\n cli\n out %al, $0x11\n hlt");
GUEST16(pic_handler, "mov $0x20, %al\n out %al, $0x20\n incw %cs:0x3000\n iret");

static void the_8259_ends_a_halt(void **state)
{
	struct fixture *f = *state;
	struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_PIC_MASTER};

	LOAD_GUEST(f, pic_guest);
	LOAD_HANDLER(f, pic_handler);
	set_vector(f, 0x24);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->run->io.port, 0x10);
	assert_int_equal(line(f, 4, 1), 0);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->run->io.port, 0x11);
	assert_int_equal(f->mem[0x3000], 1);
	assert_int_equal(ioctl_errno(f->vm, KVM_GET_IRQCHIP, &chip), 0);
	assert_int_equal(chip.chip.pic.irq_base, 0x20);
	assert_int_equal(chip.chip.pic.last_irr, 0x10);
	assert_int_equal(chip.chip.pic.isr, 0);
}

/* ---- by the I/O APIC ---------------------------------------------------------------------- */

/* Else the 8259 offers what comes by its line too. */
#define MASK_PIC "mov $0xff, %al\n out %al, $0x21\n out %al, $0xa1\n"

/* Pin 10 to vector 0x50 of CPU 0; DS is the I/O APIC's page. */
GUEST16(io_edge, MASK_PIC "movl $0x24, 0\n movl $0x50, 0x10\n movl $0x25, 0\n movl $0, 0x10\n"
			  "out %al, $0x10\n sti\n 1: hlt\n jmp 1b");
GUEST16(io_level, MASK_PIC "movl $0x25, 0\n movl $0, 0x10\n movl $0x24, 0\n movl $0x8050, 0x10\n"
			   "out %al, $0x10\n sti\n 1: hlt\n jmp 1b");
/* Counts, and ends it through the APIC's page by way of ES. */
GUEST16(count_handler, "incw %cs:0x3000\n movl $0, %es:0xb0\n out %al, $0x80\n iret");

static void load_for_ioapic(struct fixture *f, const uint8_t *begin, const uint8_t *end)
{
	struct kvm_sregs sregs;

	fixture_load(f, begin, (size_t)(end - begin));
	LOAD_HANDLER(f, count_handler);
	set_vector(f, 0x50);
	ds_base(f, 0xfec00000);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.es.base = 0xfee00000;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
	enable_apic(f);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->run->io.port, 0x10);
}

static void an_edge_by_line(void **state)
{
	struct fixture *f = *state;

	load_for_ioapic(f, io_edge_begin, io_edge_end);
	assert_int_equal(line_status(f, 10, 1), 1);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->run->io.port, 0x80);
	assert_int_equal(f->mem[0x3000], 1);
	assert_int_equal(line_status(f, 10, 1), 0); /* no new edge */
	assert_int_equal(line_status(f, 10, 0), 0);
	assert_int_equal(line_status(f, 10, 1), 1);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->mem[0x3000], 2);
	assert_int_equal(line_status(f, 100, 1), -1); /* no route */
}

static void a_level_lasts_until_it_is_lowered(void **state)
{
	struct fixture *f = *state;

	load_for_ioapic(f, io_level_begin, io_level_end);
	assert_int_equal(line(f, 10, 1), 0);
	for (int i = 1; i <= 3; i++) {
		run_to(f, KVM_EXIT_IO);
		assert_int_equal(f->mem[0x3000], i);
	}
	/* One more is on its way: its end came after the line was still up. */
	assert_int_equal(line(f, 10, 0), 0);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->mem[0x3000], 4);
}

/* ---- messages -------------------------------------------------------------------------------- */

GUEST16(wait_guest, "out %al, $0x10\n sti\n 1: hlt\n jmp 1b");

static void prepare_wait(struct fixture *f)
{
	struct kvm_sregs sregs;

	LOAD_GUEST(f, wait_guest);
	LOAD_HANDLER(f, count_handler);
	set_vector(f, 0x50);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.es.base = 0xfee00000;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
	enable_apic(f);
	run_to(f, KVM_EXIT_IO);
}

static void a_message_reaches_its_cpu(void **state)
{
	struct fixture *f = *state;
	struct kvm_msi msi = {.address_lo = 0xfee00000, .data = 0x50};

	prepare_wait(f);
	assert_int_equal(ioctl(f->vm, KVM_SIGNAL_MSI, &msi), 1);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->mem[0x3000], 1);
	msi.address_lo = 0xfee07000; /* nobody */
	assert_int_equal(ioctl(f->vm, KVM_SIGNAL_MSI, &msi), 0);
	msi.flags = 1;
	assert_int_equal(ioctl_errno(f->vm, KVM_SIGNAL_MSI, &msi), EINVAL);
}

struct routes {
	struct kvm_irq_routing head;
	struct kvm_irq_routing_entry entry[2];
};

static struct kvm_irq_routing_entry msi_route(uint32_t gsi, uint32_t data)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = {.address_lo = 0xfee00000, .data = data},
	};
}

static void a_line_may_lead_to_a_message(void **state)
{
	struct fixture *f = *state;
	struct routes routes = {.head.nr = 1, .entry = {msi_route(77, 0x50)}};

	prepare_wait(f);
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_GSI_ROUTING, &routes), 0);
	assert_int_equal(line_status(f, 77, 1), 1);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(line_status(f, 10, 1), -1); /* the table is replaced as a whole */
}

static void impossible_routes(void **state)
{
	struct fixture *f = *state;
	const struct kvm_irq_routing_entry pin = {
		.gsi = 5, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = {.irqchip = 2, .pin = 3}};
	struct routes good = {.head.nr = 1, .entry = {pin}}, bad;

#define REFUSED(change)                                                                  \
	do {                                                                             \
		bad = good;                                                              \
		change;                                                                  \
		assert_int_equal(ioctl_errno(f->vm, KVM_SET_GSI_ROUTING, &bad), EINVAL); \
	} while (0)
	REFUSED(bad.head.flags = 1);
	REFUSED(bad.head.nr = 4097);
	REFUSED(bad.entry[0].gsi = 4096);
	REFUSED(bad.entry[0].flags = 1);
	REFUSED(bad.entry[0].type = 99);
	REFUSED(bad.entry[0].u.irqchip.irqchip = 3);
	REFUSED(bad.entry[0].u.irqchip.pin = 24);
	REFUSED((bad.head.nr = 2, bad.entry[1] = pin)); /* twice to one chip */
	REFUSED((bad.head.nr = 2, bad.entry[1] = msi_route(5, 0x50)));
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_GSI_ROUTING, &good), 0);
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_GSI_ROUTING, NULL), EFAULT);
}

/* ---- irqfd ------------------------------------------------------------------------------ */

static int irqfd(const struct fixture *f, int fd, uint32_t gsi, uint32_t flags, int resample)
{
	struct kvm_irqfd args = {
		.fd = (uint32_t)fd, .gsi = gsi, .flags = flags, .resamplefd = (uint32_t)resample};

	return ioctl_errno(f->vm, KVM_IRQFD, &args);
}

static void an_eventfd_is_an_interrupt(void **state)
{
	struct fixture *f = *state;
	struct routes routes = {.head.nr = 1, .entry = {msi_route(40, 0x50)}};
	const uint64_t one = 1;
	int fd = eventfd(0, EFD_NONBLOCK);

	prepare_wait(f);
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_GSI_ROUTING, &routes), 0);
	assert_int_equal(write(fd, &one, 8), 8); /* one that is there already counts */
	assert_int_equal(irqfd(f, fd, 40, 0, 0), 0);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->mem[0x3000], 1);
	assert_int_equal(irqfd(f, fd, 41, 0, 0), EBUSY);
	assert_int_equal(write(fd, &one, 8), 8);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->mem[0x3000], 2);
	assert_int_equal(irqfd(f, fd, 40, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	assert_int_equal(irqfd(f, fd, 40, KVM_IRQFD_FLAG_DEASSIGN, 0), 0); /* as lenient as KVM */
	assert_int_equal(write(fd, &one, 8), 8);
	usleep(20000);
	assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0), 1); /* unread */
	close(fd);
}

static void a_level_irqfd_is_lowered_by_the_guests_end(void **state)
{
	struct fixture *f = *state;
	const uint64_t one = 1;
	int fd = eventfd(0, EFD_NONBLOCK), resample = eventfd(0, EFD_NONBLOCK);
	struct pollfd poll_resample = {.fd = resample, .events = POLLIN};

	load_for_ioapic(f, io_level_begin, io_level_end);
	assert_int_equal(irqfd(f, fd, 10, KVM_IRQFD_FLAG_RESAMPLE, resample), 0);
	assert_int_equal(write(fd, &one, 8), 8);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->mem[0x3000], 1);
	assert_int_equal(poll(&poll_resample, 1, 1000), 1);
	/* Lowered: it does not come again by itself. */
	f->run->immediate_exit = 1;
	assert_int_equal(run_errno(f), EINTR);
	f->run->immediate_exit = 0;
	assert_int_equal(write(fd, &one, 8), 8);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->mem[0x3000], 2);
	close(fd);
	close(resample);
}

static void bad_irqfds(void **state)
{
	const struct fixture *f = *state;
	int fd = eventfd(0, 0), pipe_fd[2];

	assert_int_equal(pipe(pipe_fd), 0);
	assert_int_equal(irqfd(f, 999, 4, 0, 0), EBADF);
	assert_int_equal(irqfd(f, pipe_fd[0], 4, 0, 0), EINVAL);
	assert_int_equal(irqfd(f, fd, 4, 8, 0), EINVAL);
	assert_int_equal(irqfd(f, fd, 4096, 0, 0), EINVAL);
	assert_int_equal(irqfd(f, fd, 4, KVM_IRQFD_FLAG_RESAMPLE, 999), EBADF);
	close(fd);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* ---- ioeventfd -------------------------------------------------------------------------- */

static int ioeventfd(const struct fixture *f, uint64_t addr, uint32_t len, int fd, uint32_t flags,
		     uint64_t match)
{
	struct kvm_ioeventfd args = {
		.datamatch = match, .addr = addr, .len = len, .fd = fd, .flags = flags};

	return ioctl_errno(f->vm, KVM_IOEVENTFD, &args);
}

static uint64_t count_of(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, 8) == 8 ? count : 0;
}

GUEST16(notifies, "mov $5, %eax\n out %ax, $0x80\n out %al, $0x80\n mov $6, %eax\n out %ax, $0x80\n"
		  "movl $1, 0x10\n movl $2, 0x14\n movw $3, 0x10\n hlt");

static void guests_writes_become_events(void **state)
{
	struct fixture *f = *state;
	int any = eventfd(0, EFD_NONBLOCK), five = eventfd(0, EFD_NONBLOCK);

	assert_int_equal(ioeventfd(f, 0x80, 2, five,
				   KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH, 5),
			 0);
	assert_int_equal(ioeventfd(f, 0x10000010, 4, any, 0, 0), 0);
	LOAD_GUEST(f, notifies);
	ds_base(f, 0x10000000);
	run_to(f, KVM_EXIT_IO); /* one byte: not wanted */
	assert_int_equal(f->run->io.size, 1);
	assert_int_equal(count_of(five), 1);
	run_to(f, KVM_EXIT_IO); /* another value */
	assert_int_equal(count_of(five), 0);
	run_to(f, KVM_EXIT_MMIO);
	assert_int_equal(f->run->mmio.phys_addr, 0x10000014);
	assert_int_equal(count_of(any), 1);
	run_to(f, KVM_EXIT_MMIO);
	assert_int_equal(f->run->mmio.len, 2);
	run_to(f, KVM_EXIT_HLT);
	close(any);
	close(five);
}

GUEST16(writes_twice, "movb $1, 0x10\n movl $1, 0x10\n hlt");

static void a_length_of_zero_is_any(void **state)
{
	struct fixture *f = *state;
	int fd = eventfd(0, EFD_NONBLOCK);

	assert_int_equal(ioeventfd(f, 0x10000010, 0, fd, 0, 0), 0);
	LOAD_GUEST(f, writes_twice);
	ds_base(f, 0x10000000);
	run_to(f, KVM_EXIT_HLT);
	assert_int_equal(count_of(fd), 2);
	assert_int_equal(ioeventfd(f, 0x10000010, 0, fd, KVM_IOEVENTFD_FLAG_DEASSIGN, 0), 0);
	assert_int_equal(ioeventfd(f, 0x10000010, 0, fd, KVM_IOEVENTFD_FLAG_DEASSIGN, 0), ENOENT);
	LOAD_GUEST(f, writes_twice);
	run_to(f, KVM_EXIT_MMIO);
	close(fd);
}

static void bad_ioeventfds(void **state)
{
	const struct fixture *f = *state;
	int fd = eventfd(0, 0);

	assert_int_equal(ioeventfd(f, 0, 3, fd, 0, 0), EINVAL);
	assert_int_equal(ioeventfd(f, 0, 0, fd, KVM_IOEVENTFD_FLAG_DATAMATCH, 0), EINVAL);
	assert_int_equal(ioeventfd(f, 0, 4, fd, 1u << 20, 0), EINVAL);
	assert_int_equal(ioeventfd(f, ~0ull, 4, fd, 0, 0), EINVAL);
	assert_int_equal(ioeventfd(f, 0, 4, 999, 0, 0), EBADF);
	assert_int_equal(ioeventfd(f, 0, 4, fd, 0, 0), 0);
	assert_int_equal(ioeventfd(f, 0, 4, fd, KVM_IOEVENTFD_FLAG_DATAMATCH, 1), EEXIST);
	assert_int_equal(ioeventfd(f, 0, 2, fd, 0, 0), 0);
	close(fd);
}

/* ---- a split irqchip -------------------------------------------------------------------- */

static int split_setup(void **state)
{
	struct fixture *f;

	assert_int_equal(fixture_setup(state), 0);
	f = *state;
	close(f->vcpu);
	close(f->vm);
	f->vm = ioctl(f->sys, KVM_CREATE_VM, 0);
	assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_SPLIT_IRQCHIP, 24), 0);
	assert_int_equal(ioctl_errno(f->vm, KVM_CREATE_IRQCHIP, NULL), EEXIST);
	fixture_attach(f);
	return 0;
}

static void the_program_is_the_ioapic(void **state)
{
	struct fixture *f = *state;
	struct routes routes = {.head.nr = 2, .entry = {msi_route(7, 0xc050), msi_route(30, 0x51)}};

	prepare_wait(f);
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_GSI_ROUTING, &routes), 0);
	assert_int_equal(line_status(f, 7, 1), 1);
	/* The end is told at the next boundary of a block: here behind the OUT. */
	run_to(f, KVM_EXIT_IO);
	run_to(f, KVM_EXIT_IOAPIC_EOI);
	assert_int_equal(f->run->eoi.vector, 0x50);
	assert_int_equal(f->mem[0x3000], 1);
	/* Our chips are not there. */
	routes.entry[0] = (struct kvm_irq_routing_entry){.type = KVM_IRQ_ROUTING_IRQCHIP,
							 .u.irqchip = {.irqchip = 2}};
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_GSI_ROUTING, &routes), EINVAL);
	assert_int_equal(ioctl_errno(f->vm, KVM_GET_IRQCHIP, &(struct kvm_irqchip){.chip_id = 0}),
			 ENXIO);
}

/* ---- without ---------------------------------------------------------------------------- */

static void without_an_irqchip_there_are_no_lines(void **state)
{
	const struct fixture *f = *state;
	struct kvm_msi msi = {.data = 0x50};
	int fd = eventfd(0, 0);

	assert_int_equal(line(f, 4, 1), ENXIO);
	assert_int_equal(ioctl_errno(f->vm, KVM_SIGNAL_MSI, &msi), EINVAL);
	assert_int_equal(irqfd(f, fd, 4, 0, 0), EINVAL);
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define TEST_IRQCHIP(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup_irqchip, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST_IRQCHIP(the_8259_ends_a_halt),
		TEST_IRQCHIP(an_edge_by_line),
		TEST_IRQCHIP(a_level_lasts_until_it_is_lowered),
		TEST_IRQCHIP(a_message_reaches_its_cpu),
		TEST_IRQCHIP(a_line_may_lead_to_a_message),
		TEST_IRQCHIP(impossible_routes),
		TEST_IRQCHIP(an_eventfd_is_an_interrupt),
		TEST_IRQCHIP(a_level_irqfd_is_lowered_by_the_guests_end),
		TEST_IRQCHIP(bad_irqfds),
		TEST(guests_writes_become_events),
		TEST(a_length_of_zero_is_any),
		TEST(bad_ioeventfds),
		cmocka_unit_test_setup_teardown(the_program_is_the_ioapic, split_setup,
						fixture_teardown),
		TEST(without_an_irqchip_there_are_no_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

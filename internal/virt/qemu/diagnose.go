package qemu

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nacre/internal/nodeapi"
	"nacre/internal/qmp"
	"nacre/internal/virt"
)

// Diagnose implements virt.Host. Disks are counted by QEMU, processors and cards by
// the kernel.
func (h *Host) Diagnose(ctx context.Context, id string) (nodeapi.Diagnostics, error) {
	ctx, cancel := h.within(ctx)
	defer cancel()
	m, g, err := h.running(id)
	if err != nil {
		return nodeapi.Diagnostics{}, err
	}
	client, err := h.monitor(ctx, m, g)
	if err != nil {
		return nodeapi.Diagnostics{}, err
	}
	h.mu.Lock()
	want := m.record.Machine
	d := nodeapi.Diagnostics{Paused: g.paused, MemoryMB: int64(want.MemoryMB)}
	h.mu.Unlock()
	info, err := os.Lstat(filepath.Join(m.dir, "run", "pid"))
	if err == nil {
		d.Uptime = int64(time.Since(info.ModTime()).Seconds())
		d.CPUs, err = processors(ctx, client, g.pid)
	}
	if err == nil {
		d.Disks, err = h.traffic(ctx, client, g, want)
	}
	if err != nil {
		return d, fmt.Errorf("diagnose machine %s: %w", id, err)
	}
	for _, n := range want.NICs {
		d.NICs = append(d.NICs, cardTraffic(n))
	}
	rss, err := resident(g.pid)
	if err == nil {
		d.RSSKB = &rss
	}
	return d, nil
}

func processors(ctx context.Context, client *qmp.Client, pid int) ([]nodeapi.CPUUse, error) {
	var list []struct {
		Index  int `json:"cpu-index"`
		Thread int `json:"thread-id"`
	}
	err := client.Execute(ctx, "query-cpus-fast", nil, &list)
	if err != nil {
		return nil, err
	}
	var out []nodeapi.CPUUse
	for _, cpu := range list {
		// The first of its numbers is how long the thread has run, in nanoseconds.
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/schedstat", pid, cpu.Thread))
		if err != nil {
			return nil, err
		}
		ran, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return nil, err
		}
		out = append(out, nodeapi.CPUUse{ID: cpu.Index, Time: n})
	}
	return out, nil
}

// traffic is what went through the disks, in the order in which the guest has them.
func (h *Host) traffic(ctx context.Context, client *qmp.Client, g *guest, want virt.Machine) ([]nodeapi.DiskTraffic, error) {
	var list []struct {
		Device string `json:"qdev"`
		Stats  struct {
			ReadBytes     int64 `json:"rd_bytes"`
			ReadRequests  int64 `json:"rd_operations"`
			WriteBytes    int64 `json:"wr_bytes"`
			WriteRequests int64 `json:"wr_operations"`
			FailedReads   int64 `json:"failed_rd_operations"`
			FailedWrites  int64 `json:"failed_wr_operations"`
			FailedFlushes int64 `json:"failed_flush_operations"`
		} `json:"stats"`
	}
	err := client.Execute(ctx, "query-blockstats", nil, &list)
	if err != nil {
		return nil, err
	}
	var devices []string
	if want.Rescue != nil {
		devices = append(devices, rescueName)
	}
	devices = append(devices, diskOrder(want)...)
	var out []nodeapi.DiskTraffic
	letters := map[string]rune{}
	for _, device := range devices {
		bus, _ := busOf(want, device)
		if device == rescueName {
			bus = rescueBus(*want.Rescue)
		}
		prefix := nodeapi.DiskPrefix(bus)
		one := nodeapi.DiskTraffic{Name: fmt.Sprintf("%s%c", prefix, 'a'+letters[prefix])}
		letters[prefix]++
		h.mu.Lock()
		device = g.real(device)
		h.mu.Unlock()
		for _, entry := range list {
			rest, ours := strings.CutPrefix(entry.Device, peripheral+device)
			if ours && (rest == "" || rest[0] == '/') {
				s := entry.Stats
				one.ReadBytes, one.ReadRequests, one.WriteBytes, one.WriteRequests = s.ReadBytes, s.ReadRequests, s.WriteBytes, s.WriteRequests
				one.Errors = s.FailedReads + s.FailedWrites + s.FailedFlushes
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// cardTraffic turns the tap's counters round: what it receives, the guest has sent.
// A counter that cannot be read is nought.
func cardTraffic(n virt.NIC) nodeapi.NICTraffic {
	count := func(name string) int64 {
		text, err := os.ReadFile(filepath.Join("/sys/class/net", n.Tap, "statistics", name))
		if err != nil {
			return 0
		}
		value, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			return 0
		}
		return value
	}
	return nodeapi.NICTraffic{
		MAC:     n.MAC,
		RxBytes: count("tx_bytes"), RxPackets: count("tx_packets"), RxErrors: count("tx_errors"), RxDrops: count("tx_dropped"),
		TxBytes: count("rx_bytes"), TxPackets: count("rx_packets"), TxErrors: count("rx_errors"), TxDrops: count("rx_dropped"),
	}
}

// resident is how much of the host's memory a process has, in KiB.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	var size, rss int64
	_, err = fmt.Sscan(string(text), &size, &rss)
	return rss * int64(os.Getpagesize()) / 1024, err
}

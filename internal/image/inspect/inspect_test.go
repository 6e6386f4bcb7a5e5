package inspect

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func inspectBytes(t *testing.T, b []byte) Result {
	t.Helper()
	result, err := File(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatalf("inspect: %v", err)
	}
	return result
}

func TestSamplesAreRecognised(t *testing.T) {
	for name, b := range samples() {
		want, _, _ := strings.Cut(name, "/")
		result := inspectBytes(t, b)
		if result.Format != want {
			t.Errorf("%s: got format %q, want %q", name, result.Format, want)
		}
		err := result.Matches(want)
		if err != nil {
			t.Errorf("%s: got %v, want a match", name, err)
		}
		size := int64(len(b))
		switch want {
		case "qcow2", "qed", "vmdk", "vhdx", "vdi", "ploop":
			size = sampleSize
		case "luks":
			size -= 2048
		}
		if name == "vhd" {
			size = sampleSize
		}
		if name == "vhd/fixed" {
			size = 1 << 20
		}
		if result.VirtualSize != size {
			t.Errorf("%s: got virtual size %d, want %d", name, result.VirtualSize, size)
		}
	}
}

// bend changes bytes of a good sample.
func bend(b []byte, change func(b []byte)) []byte {
	change(b)
	return b
}

func TestDangers(t *testing.T) {
	local := func(pattern, with string) []byte {
		return sampleVMDK(strings.Replace(sampleDescriptor, pattern, with, 1))
	}
	cases := []struct {
		name  string
		image []byte
		want  string // part of the danger
	}{
		{"qcow2 backing file", bend(sampleQCOW2(), func(b []byte) {
			putBE64(b[8:], 512)
			putBE32(b[16:], 11)
			copy(b[512:], "/etc/passwd")
		}), "backing file"},
		{"qcow2 backing file without a length", bend(sampleQCOW2(), func(b []byte) { putBE64(b[8:], 512) }), "backing file"},
		{"qcow2 version 2 with a backing file", bend(sampleQCOW2(), func(b []byte) { putBE32(b[4:], 2); putBE64(b[8:], 512) }), "backing file"},
		{"qcow2 data file bit", bend(sampleQCOW2(), func(b []byte) { putBE64(b[72:], qcowDataFile) }), "external data file"},
		{"qcow2 data file extension", bend(sampleQCOW2(), func(b []byte) {
			putBE32(b[104:], 0x11111111) // an unknown extension in front of it
			putBE32(b[108:], 3)
			putBE32(b[120:], qcowExtDataFile)
			putBE32(b[124:], 11)
		}), "external data file"},
		{"qcow2 data file extension far away", bend(sampleQCOW2(), func(b []byte) {
			putBE32(b[104:], 0x11111111)
			putBE32(b[108:], 60000)
			putBE32(b[112+60000:], qcowExtDataFile)
		}), "external data file"},
		{"qcow2 extension beyond the cluster", bend(sampleQCOW2(), func(b []byte) { putBE32(b[104:], 1); putBE32(b[108:], 1<<31) }), "wrong length"},
		{"qcow2 unknown feature", bend(sampleQCOW2(), func(b []byte) { putBE64(b[72:], 1<<40) }), "unknown incompatible"},
		{"qcow2 corrupt", bend(sampleQCOW2(), func(b []byte) { putBE64(b[72:], qcowCorrupt) }), "corrupt"},
		{"qcow2 encrypted", bend(sampleQCOW2(), func(b []byte) { putBE32(b[32:], 2) }), "encrypted"},
		{"qcow2 oversized header", bend(sampleQCOW2(), func(b []byte) { putBE32(b[100:], 1<<20) }), "wrong length"},
		{"qcow2 short header", bend(sampleQCOW2(), func(b []byte) { putBE32(b[100:], 72) }), "wrong length"},
		{"qcow2 huge clusters", bend(sampleQCOW2(), func(b []byte) { putBE32(b[20:], 63) }), "clusters"},
		{"qcow2 small L1", bend(sampleQCOW2(), func(b []byte) { putBE64(b[24:], 1<<40) }), "L1 table"},
		{"qcow2 huge L1", bend(sampleQCOW2(), func(b []byte) { putBE32(b[36:], 1<<31) }), "L1 table"},
		{"qcow2 L1 behind the end", bend(sampleQCOW2(), func(b []byte) { putBE64(b[40:], 1<<62) }), "outside"},
		{"qcow2 snapshots", bend(sampleQCOW2(), func(b []byte) { putBE32(b[60:], 1<<30) }), "snapshots"},
		{"1 KB that claims 8 EiB", bend(sampleQCOW2(), func(b []byte) { putBE64(b[24:], 1<<63) })[:1024], "absurd"},
		{"qcow2 of 8 bytes", sampleQCOW2()[:8], "cut"},
		{"qcow2 version 4", bend(sampleQCOW2(), func(b []byte) { putBE32(b[4:], 4) }), "version"},
		{"qcow1 backing file", append([]byte("QFI\xfb\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02\x00"), make([]byte, 64)...), "backing file"},
		{"qed backing file", bend(sampleQED(), func(b []byte) { putLE64(b[16:], 1) }), "backing file"},
		{"vmdk descriptor", []byte(strings.Replace(sampleDescriptor, "SPARSE", "FLAT", 1)), "other files"},
		{"vmdk descriptor without its title", []byte("\n#\nversion=1\nRW 1 FLAT \"/etc/passwd\" 0\n"), "other files"},
		{"vmdk flat extent", local(`RW 131072 SPARSE "disk.vmdk"`, `RW 131072 FLAT "disk-flat.vmdk" 0`), "another file"},
		{"vmdk extent with a path", local("disk.vmdk", "/etc/passwd"), "another file"},
		{"vmdk extent with dots", local("disk.vmdk", "..%2fdisk"), "another file"},
		{"vmdk two extents", local("RW 131072", "RW 1 SPARSE \"a\"\nRW 131072"), "2 extents"},
		{"vmdk extent behind a NUL", sampleVMDK(sampleDescriptor + "\x00RW 1 FLAT \"/etc/passwd\" 0"), "another file"},
		{"vmdk monolithicFlat", local("monolithicSparse", "monolithicFlat"), "layout"},
		{"vmdk two layouts", local("CID=", "createType=\"monolithicSparse\"\nCID="), "2 layouts"},
		{"vmdk parent", local("parentCID=ffffffff", "parentCID=12345678"), "parent"},
		{"vmdk parent file", local("CID=", "PARENTFILENAMEHINT=\"/etc/passwd\"\nCID="), "parent file"},
		{"vmdk no capacity", bend(sampleVMDK(""), func(b []byte) { putLE64(b[12:], 0) }), "capacity"},
		{"vmdk absurd capacity", bend(sampleVMDK(""), func(b []byte) { putLE64(b[12:], 1<<60) }), "absurd"},
		{"vmdk grain directory outside", bend(sampleVMDK(""), func(b []byte) { putLE64(b[56:], 1<<40) }), "outside"},
		{"vmdk descriptor elsewhere", bend(sampleVMDK(""), func(b []byte) {
			copy(b[512*40:], sampleDescriptor)
			copy(b[512:], "parentFileNameHint=\"/etc/passwd\"\n")
			putLE64(b[28:], 40)
		}), "parent file"},
		{"vmdk descriptor far away", bend(sampleVMDK(""), func(b []byte) { putLE64(b[28:], 1<<50) }), "wrong place"},
		{"vmdk without footer", sampleStreamVMDK()[:64<<10], "footer"},
		{"vmdk footer without capacity", bend(sampleStreamVMDK(), func(b []byte) { putLE64(b[len(b)-1024+12:], 0) }), "contradicts"},
		{"vmdk of ESX", append([]byte("COWD"), make([]byte, 2048)...), "not supported"},
		{"vhd differencing", bend(sampleVHD(), func(b []byte) { putBE32(b[60:], 4) }), "differencing"},
		{"vhd differencing at the end only", bend(sampleVHD(), func(b []byte) { putBE32(b[len(b)-512+60:], 4) }), "differencing"},
		{"vhd parent locator", bend(sampleVHD(), func(b []byte) { copy(b[512+576:], "W2ku") }), "parent"},
		{"vhd absurd size", bend(sampleVHD(), func(b []byte) { putBE64(b[48:], 1<<62) }), "absurd"},
		{"fixed vhd larger than the file", bend(sampleFixedVHD(), func(b []byte) { putBE64(b[1<<20+48:], 1<<40) }), "more bytes"},
		{"vhdx parent flag", bend(sampleVHDX(), func(b []byte) { b[2<<20+64<<10+4] = 2 }), "differencing"},
		{"vhdx parent locator", bend(sampleVHDX(), func(b []byte) { b[2<<20+10] = 3; copy(b[2<<20+96:], vhdxParentLocator) }), "parent"},
		{"vhdx second region table", bend(sampleVHDX(), func(b []byte) { putLE64(b[256<<10+32:], 1<<20) }), "differ"},
		{"vhdx log", bend(sampleVHDX(), func(b []byte) { b[128<<10+48] = 1 }), "log"},
		{"vhdx metadata outside", bend(sampleVHDX(), func(b []byte) { putLE64(b[192<<10+32:], 1<<63) }), "outside"},
		{"vdi differencing", bend(sampleVDI(), func(b []byte) { putLE32(b[76:], 4) }), "differencing"},
		{"vdi parent", bend(sampleVDI(), func(b []byte) { b[440] = 1 }), "parent"},
		{"vdi absurd", bend(sampleVDI(), func(b []byte) { putLE64(b[368:], 1<<63) }), "absurd"},
		{"ploop absurd", bend(samplePloop(), func(b []byte) { putLE64(b[36:], 1<<63) }), "absurd"},
		{"polyglot of qcow2 and iso", bend(sampleQCOW2(), func(b []byte) { copy(b[16*2048+1:], "CD001") }), "qcow2 and as iso"},
		{"polyglot of vmdk and vhd", append(sampleVMDK(""), bend(vhdFooter(vhdFixed), func(b []byte) { putBE64(b[48:], 512) })...), "vmdk and as vhd"},
	}
	for _, c := range cases {
		result := inspectBytes(t, c.image)
		err := result.Danger()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a danger with %q", c.name, err, c.want)
		}
		if result.Matches(result.Format) == nil {
			t.Errorf("%s: matches %s, want it refused", c.name, result.Format)
		}
	}
}

func TestHybridISOIsNoPolyglot(t *testing.T) {
	b := sampleISO()
	copy(b, sampleMBR()[:512])
	result := inspectBytes(t, b)
	if result.Format != ISO || result.Partitions != "mbr" || result.Danger() != nil {
		t.Errorf("got %+v, want a harmless iso with an mbr", result)
	}
}

func TestMatchesIsStrict(t *testing.T) {
	cases := []struct {
		image []byte
		as    string
		ok    bool
	}{
		{sampleQCOW2(), "qcow2", true},
		{sampleQCOW2(), "raw", false},
		{sampleQCOW2(), "", false},
		{[]byte("vmlinuz"), "aki", true},
		{sampleMBR(), "raw", true},
		{sampleMBR(), "qcow2", false},
		{sampleISO(), "iso", true},
		{sampleISO(), "raw", false},
		{sampleLUKS(), "raw", false},
	}
	for _, c := range cases {
		result := inspectBytes(t, c.image)
		err := result.Matches(c.as)
		if (err == nil) != c.ok {
			t.Errorf("%s as %q: got %v, want ok %t", result.Format, c.as, err, c.ok)
		}
	}
}

// TestStreamAndFileAgree feeds every sample in pieces of several sizes.
func TestStreamAndFileAgree(t *testing.T) {
	for name, b := range samples() {
		want := inspectBytes(t, b)
		for _, piece := range []int{1, 511, 4096, 1 << 20, len(b) + 1} {
			if piece == 1 && len(b) > 300<<10 {
				continue
			}
			i := New()
			for rest := b; len(rest) > 0; {
				n := min(piece, len(rest))
				i.Write(rest[:n])
				rest = rest[n:]
			}
			if !reflect.DeepEqual(i.Result(), want) {
				t.Errorf("%s in pieces of %d: got %+v, want %+v", name, piece, i.Result(), want)
			}
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	i := New()
	i.Write(sampleVHDX())
	piece := make([]byte, 1<<20)
	for range 64 {
		i.Write(piece)
	}
	kept := cap(i.view.head) + cap(i.view.tail)
	for _, w := range i.view.windows {
		kept += cap(w.bytes)
	}
	if kept > 2<<20 {
		t.Errorf("got %d bytes kept, want at most 2 MiB", kept)
	}
}

// TestRealImages looks at what qemu-img makes.
func TestRealImages(t *testing.T) {
	program, err := exec.LookPath("qemu-img")
	if err != nil {
		t.Fatalf("this test needs qemu-img (Debian package qemu-utils): %v", err)
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("qemu-img %v: %v\n%s", args, err, out)
		}
	}
	run("create", "-q", "-f", "qcow2", "base.qcow2", "64M")
	filled := bytes.Repeat([]byte("nacre"), 1<<20)
	err = os.WriteFile(filepath.Join(dir, "data.raw"), filled[:4<<20], 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		format, driver, options string
		danger                  string
	}{
		{"qcow2", "qcow2", "compat=0.10", ""},
		{"qcow2", "qcow2", "compat=1.1,lazy_refcounts=on,extended_l2=on,cluster_size=2M", ""},
		{"qcow2", "qcow2", "cluster_size=512", ""},
		{"qcow2", "qcow2", "data_file=secret.raw", "data file"},
		{"qcow2", "qcow2", "backing_file=base.qcow2,backing_fmt=qcow2", "backing file"},
		{"vmdk", "vmdk", "subformat=monolithicSparse", ""},
		{"vmdk", "vmdk", "subformat=monolithicFlat", "other files"},
		{"vmdk", "vmdk", "subformat=twoGbMaxExtentSparse", "other files"},
		{"vmdk", "vmdk", "backing_file=base.vmdk,backing_fmt=vmdk", "parent"},
		{"vhd", "vpc", "subformat=dynamic", ""},
		{"vhd", "vpc", "subformat=fixed", ""},
		{"vhdx", "vhdx", "subformat=dynamic", ""},
		{"vhdx", "vhdx", "subformat=fixed", ""},
		{"vdi", "vdi", "static=off", ""},
		{"qed", "qed", "cluster_size=65536", ""},
		{"qed", "qed", "backing_file=base.qcow2,backing_fmt=qcow2", "backing file"},
		{"ploop", "parallels", "cluster_size=1M", ""},
	}
	run("create", "-q", "-f", "vmdk", "base.vmdk", "64M")
	for n, c := range cases {
		file := fmt.Sprintf("made-%d", n)
		run("create", "-q", "-f", c.driver, "-o", c.options, file, "64M")
		checkReal(t, filepath.Join(dir, file), c.format, c.options, c.danger)
		if c.danger != "" || c.driver == "parallels" || c.driver == "qed" {
			continue
		}
		// One with data in it.
		run("convert", "-f", "raw", "-O", c.driver, "-o", c.options, "data.raw", file+"-full")
		checkReal(t, filepath.Join(dir, file+"-full"), c.format, c.options+" (full)", "")
	}
	run("convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", "data.raw", "stream.vmdk")
	checkReal(t, filepath.Join(dir, "stream.vmdk"), "vmdk", "streamOptimized", "")
	run("convert", "-f", "raw", "-O", "qcow2", "-c", "data.raw", "packed.qcow2")
	run("snapshot", "-c", "first", "packed.qcow2")
	checkReal(t, filepath.Join(dir, "packed.qcow2"), "qcow2", "with a snapshot", "")
}

func checkReal(t *testing.T, path, format, what, danger string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	result, err := File(file, info.Size())
	if err != nil {
		t.Fatalf("%s %s: %v", format, what, err)
	}
	if result.Format != format {
		t.Errorf("%s %s: got format %s", format, what, result.Format)
	}
	err = result.Danger()
	if danger == "" && err != nil || danger != "" && (err == nil || !strings.Contains(err.Error(), danger)) {
		t.Errorf("%s %s: got %v, want danger %q", format, what, err, danger)
	}
	if danger == "" && result.VirtualSize < 4<<20 {
		t.Errorf("%s %s: got virtual size %d, want at least 4 MiB", format, what, result.VirtualSize)
	}
}

// FuzzInspect holds that no bytes make the inspector panic or keep much, and
// that a stream is judged like a file. Its inputs bend the samples: some of them
// are megabytes of zeros that a fuzzer would only waste its time on.
func FuzzInspect(f *testing.F) {
	all := samples()
	names := slices.Sorted(maps.Keys(all))
	for n := range names {
		f.Add(uint8(n), uint32(8), []byte{1}, uint32(1<<31), []byte("parentFileNameHint"), uint32(0))
	}
	f.Fuzz(func(t *testing.T, sample uint8, offset uint32, patch []byte, offset2 uint32, patch2 []byte, cut uint32) {
		b := slices.Clone(all[names[int(sample)%len(names)]])
		copy(b[min(int(offset), len(b)):], patch)
		if offset2 >= 1<<31 { // counted from the end
			offset2 = uint32(max(0, len(b)-int(offset2-1<<31)))
		}
		copy(b[min(int(offset2), len(b)):], patch2)
		b = b[:len(b)-min(int(cut), len(b))]

		want, err := File(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatalf("inspect %d bytes: %v", len(b), err)
		}
		i := New()
		piece := max(1, len(b)/3)
		for rest := b; len(rest) > 0; {
			n := min(piece, len(rest))
			i.Write(rest[:n])
			rest = rest[n:]
		}
		got := i.Result()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v by stream, %+v by file", got, want)
		}
		if got.VirtualSize < 0 || got.VirtualSize > MaxVirtualSize {
			t.Errorf("got virtual size %d", got.VirtualSize)
		}
		if len(got.Dangers) > len(parsers)*maxDangers+1 {
			t.Errorf("got %d dangers", len(got.Dangers))
		}
	})
}

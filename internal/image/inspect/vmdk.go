package inspect

import (
	"bytes"
	"strings"
)

const (
	sector         = 512
	vmdkDescriptor = 20 * sector // what QEMU reads of a descriptor
	vmdkMaxText    = 128 * sector
	vmdkAtEnd      = 1<<64 - 1 // the grain directory is named by the footer
	vmdkFooter     = 3         // type of the marker before the footer
)

// parseVMDK accepts one layout only, the sparse disk in one file
// (monolithicSparse and streamOptimized); every other one names further files.
func parseVMDK(v *view) *finding {
	f := &finding{}
	switch {
	case v.starts(0, "KDMV"):
		parseSparseVMDK(v, f)
	case v.starts(0, "COWD"):
		f.danger("is of an ESX layout, which is not supported")
	case isVMDKText(v):
		f.danger("is a descriptor, whose extents are other files")
		checkVMDKText(f, v.head[:min(len(v.head), vmdkMaxText)])
	default:
		return nil
	}
	return f
}

// isVMDKText recognises a bare descriptor: comments and empty lines, then a
// version. Programs that guess formats read it so.
func isVMDKText(v *view) bool {
	rest := v.head[:min(len(v.head), 4096)]
	if bytes.HasPrefix(bytes.ToLower(rest), []byte("# disk descriptorfile")) {
		return true
	}
	for len(rest) > 0 {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(bytes.TrimLeft(line, " ")) > 0 && line[0] != '#' {
			text := string(line)
			return text == "version=1" || text == "version=2" || text == "version=3"
		}
		rest = after
	}
	return false
}

func parseSparseVMDK(v *view, f *finding) {
	h := v.at(0, sector)
	if h == nil {
		f.danger("has a cut header")
		return
	}
	checkVMDKHeader(v, f, h)
	if le64(h[56:]) == vmdkAtEnd {
		// The footer takes the header's place when the disk is opened.
		end := uint64(v.size)
		marker := v.at(end-3*sector, sector)
		footer := v.at(end-2*sector, sector)
		switch {
		case end < 4*sector || marker == nil || footer == nil || le32(marker[12:]) != vmdkFooter || string(footer[:4]) != "KDMV":
			f.danger("has no footer")
		case le64(footer[12:]) != le64(h[12:]) || le64(footer[28:]) != le64(h[28:]) || le64(footer[56:]) == vmdkAtEnd:
			f.danger("has a footer that contradicts its header")
		default:
			checkVMDKHeader(v, f, footer)
		}
	}

	offset, length := le64(h[28:]), le64(h[36:])
	if offset == 0 || offset > headBytes/sector || length == 0 || length > vmdkMaxText/sector {
		f.danger("has its descriptor at a wrong place")
		return
	}
	text := v.at(offset*sector, int(length*sector))
	if text == nil {
		f.danger("has its descriptor outside of the file")
		return
	}
	checkVMDKText(f, text)
	// A parent is looked for behind the header, wherever the header says that
	// the descriptor is.
	if offset != 1 {
		f.danger("has its descriptor at a wrong place")
		around := v.head[sector:min(len(v.head), sector+vmdkDescriptor)]
		checkVMDKParent(f, strings.ToLower(string(around)))
	}
}

func checkVMDKHeader(v *view, f *finding, h []byte) {
	version := le32(h[4:])
	if version < 1 || version > 3 {
		f.danger("has an unknown version %d", version)
	}
	capacity, grain, entries := le64(h[12:]), le64(h[20:]), uint64(le32(h[44:]))
	if capacity == 0 {
		f.danger("has no capacity, so that its descriptor would name the extents")
		return
	}
	if capacity > MaxVirtualSize/sector {
		f.size(MaxVirtualSize + 1)
		return
	}
	f.size(capacity * sector)
	if grain == 0 || grain > 128<<20/sector || entries == 0 || entries > 512 {
		f.danger("has grains of a wrong size")
		return
	}
	directory := le64(h[56:])
	if directory == vmdkAtEnd {
		return
	}
	if directory > 1<<54 {
		f.danger("has its grain directory outside of the file")
		return
	}
	f.within(v, "grain directory", directory*sector, 4*ceilDiv(capacity, grain*entries))
}

// checkVMDKText judges a descriptor. Every line counts, also behind a NUL and
// whatever its case is: programs differ in where they stop to read.
func checkVMDKText(f *finding, text []byte) {
	lower := strings.ToLower(string(text))
	checkVMDKParent(f, lower)
	kinds, extents := 0, 0
	lines := strings.FieldsFunc(lower, func(r rune) bool { return r == '\n' || r == '\r' || r == 0 })
	for _, line := range lines {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, "=")
		if strings.TrimSpace(key) == "createtype" {
			kinds++
			value = strings.Trim(strings.TrimSpace(value), `"`)
			if value != "monolithicsparse" && value != "streamoptimized" {
				f.danger("has the layout %.40q, which is not supported", value)
			}
			continue
		}
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "rw" && words[0] != "rdonly" && words[0] != "noaccess" {
			continue
		}
		extents++
		_, name, _ := strings.Cut(line, `"`)
		if words[2] != "sparse" || strings.ContainsAny(name, `/\:`) || strings.Contains(name, "..") {
			f.danger("has an extent that is another file")
		}
	}
	if kinds != 1 {
		f.danger("has %d layouts in its descriptor", kinds)
	}
	if extents != 1 {
		f.danger("has %d extents", extents)
	}
}

// checkVMDKParent refuses a delta to another disk.
func checkVMDKParent(f *finding, lower string) {
	if strings.Contains(lower, "parentfilenamehint") {
		f.danger("has a parent file")
		return
	}
	for rest := lower; ; {
		_, after, found := strings.Cut(rest, "parentcid")
		if !found {
			return
		}
		value := strings.TrimLeft(after, " \t=")
		if !strings.HasPrefix(value, "ffffffff") {
			f.danger("has a parent")
			return
		}
		rest = after
	}
}

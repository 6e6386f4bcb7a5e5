package configdrive

import (
	"bytes"
	"encoding/binary"
)

const (
	sectorSize  = 2048
	systemArea  = 16 // sectors that the format leaves to boot loaders
	descriptors = 3  // one for each tree, and their end
)

// layOut gives everything its place and writes the image.
//
//	system area | descriptors | path tables | folders | files
func layOut(root *node) []byte {
	folders, files := walk(root)
	next := uint32(systemArea + descriptors)
	var tables [2]extent // the table with little-endian numbers; the other follows it
	for t := plain; t <= joliet; t++ {
		size := uint32(len(pathTable(t, folders, binary.LittleEndian)))
		tables[t] = extent{next, size}
		next += 2 * sectors(size)
	}
	for t := plain; t <= joliet; t++ {
		for _, f := range folders {
			// The size does not depend on the places that are written in it.
			size := uint32(len(folderRecords(t, f)))
			f.trees[t] = extent{next, size}
			next += sectors(size)
		}
	}
	for _, f := range files {
		f.sector = next
		next += sectors(uint32(len(f.data)))
	}

	image := make([]byte, int(next)*sectorSize)
	put := func(sector uint32, b []byte) { copy(image[int(sector)*sectorSize:], b) }
	for t := plain; t <= joliet; t++ {
		put(systemArea+uint32(t), descriptor(t, root, tables[t], next))
		put(tables[t].sector, pathTable(t, folders, binary.LittleEndian))
		put(tables[t].sector+sectors(tables[t].bytes), pathTable(t, folders, binary.BigEndian))
		for _, f := range folders {
			put(f.trees[t].sector, folderRecords(t, f))
		}
	}
	put(systemArea+descriptors-1, []byte("\xffCD001\x01"))
	for _, f := range files {
		put(f.sector, f.data)
	}
	return image
}

func sectors(size uint32) uint32 { return (size + sectorSize - 1) / sectorSize }

// descriptor is the first or second volume descriptor.
func descriptor(t tree, root *node, table extent, total uint32) []byte {
	b := make([]byte, sectorSize)
	b[0] = 1
	copy(b[1:], "CD001\x01")
	text := func(from, to int, s string) { // padded with spaces
		v, space := []byte(s), []byte(" ")
		if t == joliet {
			v, space = wide(s), wide(" ")
		}
		copy(b[from:to], bytes.Repeat(space, (to-from)/len(space)))
		copy(b[from:to], v)
	}
	text(8, 40, "LINUX")
	text(40, 72, Label)
	both32(b[80:], total)
	if t == joliet {
		b[0] = 2
		copy(b[88:], "%/E") // UTF-16
	}
	both16(b[120:], 1) // one volume in the set,
	both16(b[124:], 1) // and this is it
	both16(b[128:], sectorSize)
	both32(b[132:], table.bytes)
	binary.LittleEndian.PutUint32(b[140:], table.sector)
	binary.BigEndian.PutUint32(b[148:], table.sector+sectors(table.bytes))
	copy(b[156:], record([]byte{0}, root.trees[t], true, nil))
	for _, field := range [][2]int{{190, 318}, {318, 446}, {446, 574}, {574, 702}, {702, 739}, {739, 776}, {776, 813}} {
		text(field[0], field[1], "")
	}
	for at := 813; at < 881; at += 17 {
		copy(b[at:], "0000000000000000\x00") // no date
	}
	b[881] = 1
	return b
}

// pathTable lists all folders with their parents.
func pathTable(t tree, folders []*node, order binary.AppendByteOrder) []byte {
	var b []byte
	for _, f := range folders {
		id := t.identifier(f)
		if f.parent == f {
			id = []byte{0}
		}
		b = append(b, byte(len(id)), 0)
		b = order.AppendUint32(b, f.trees[t].sector)
		b = order.AppendUint16(b, f.parent.number)
		b = append(b, id...)
		if len(id)%2 == 1 {
			b = append(b, 0)
		}
	}
	return b
}

// folderRecords are the records of a folder: itself, its parent, its children.
func folderRecords(t tree, folder *node) []byte {
	var b []byte
	add := func(r []byte) {
		if len(b)%sectorSize+len(r) > sectorSize { // no record crosses a sector's end
			b = append(b, make([]byte, sectorSize-len(b)%sectorSize)...)
		}
		b = append(b, r...)
	}
	var self []byte
	if t == plain {
		if folder.parent == folder {
			self = append(self, "SP\x07\x01\xbe\xef\x00"...) // Rock Ridge is used
		}
		self = append(self, attributes(folder)...)
		if folder.parent == folder {
			self = append(self, "ER\x12\x01\x0a\x00\x00\x01RRIP_1991A"...)
		}
	}
	add(record([]byte{0}, folder.trees[t], true, self))
	add(record([]byte{1}, folder.parent.trees[t], true, attributesIf(t == plain, folder.parent)))
	for _, c := range t.order(folder) {
		place := c.trees[t]
		if c.file {
			place = extent{c.sector, uint32(len(c.data))}
		}
		var extra []byte
		if t == plain {
			extra = append(attributes(c), 'N', 'M', byte(5+len(c.name)), 1, 0)
			extra = append(extra, c.name...)
		}
		add(record(t.identifier(c), place, !c.file, extra))
	}
	// A folder takes whole sectors.
	return append(b, make([]byte, int(sectors(uint32(len(b))))*sectorSize-len(b))...)
}

// record is a directory record.
func record(id []byte, place extent, folder bool, extra []byte) []byte {
	b := make([]byte, 33, 128)
	both32(b[2:], place.sector)
	both32(b[10:], place.bytes)
	if folder {
		b[25] = 2
	}
	both16(b[28:], 1)
	b[32] = byte(len(id))
	b = append(b, id...)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	b = append(b, extra...)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	b[0] = byte(len(b))
	return b
}

// attributes are Rock Ridge's: mode, links, user and group. Everybody may read.
func attributes(n *node) []byte {
	const folderMode, fileMode = 0o040555, 0o100444
	mode, links := uint32(fileMode), uint32(1)
	if !n.file {
		mode, links = folderMode, 2
		for _, c := range n.children {
			if !c.file {
				links++
			}
		}
	}
	b := make([]byte, 36)
	copy(b, "PX\x24\x01")
	both32(b[4:], mode)
	both32(b[12:], links)
	return b
}

func attributesIf(wanted bool, n *node) []byte {
	if !wanted {
		return nil
	}
	return attributes(n)
}

// both32 writes a number in both byte orders, as the format does.
func both32(b []byte, n uint32) {
	binary.LittleEndian.PutUint32(b, n)
	binary.BigEndian.PutUint32(b[4:], n)
}

func both16(b []byte, n uint16) {
	binary.LittleEndian.PutUint16(b, n)
	binary.BigEndian.PutUint16(b[2:], n)
}

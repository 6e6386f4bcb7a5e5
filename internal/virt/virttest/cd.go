package virttest

import "encoding/binary"

// CDSays is what a machine says that was booted from CD.
const CDSays = "this is the CD"

// CD is a CD that is booted as El Torito says, without emulation, to write
// CDSays on the first serial port.
func CD() []byte {
	const sector = 2048
	cd := make([]byte, 32*sector)
	at := func(n int) []byte { return cd[n*sector:] }
	copy(at(16), "\x01CD001\x01")
	copy(at(17), "\x00CD001\x01EL TORITO SPECIFICATION")
	binary.LittleEndian.PutUint32(at(17)[0x47:], 19)
	copy(at(18), "\xffCD001\x01")
	catalog := at(19)
	catalog[0], catalog[0x1e], catalog[0x1f] = 1, 0x55, 0xaa
	catalog[0x20], catalog[0x26], catalog[0x28] = 0x88, 4, 20
	copy(at(20), "\xe8\x00\x00"+ // call the next
		"\x5e\x83\xc6\x13"+ // pop si; add si, 19
		"\x2e\xac\x84\xc0\x74\x06"+ // cs lodsb; test al, al; jz to the end
		"\xba\xf8\x03\xee\xeb\xf4"+ // mov dx, 0x3f8; out dx, al; jmp to the lodsb
		"\xf4\xeb\xfd"+ // hlt, for ever
		CDSays+"\r\n")
	return cd
}

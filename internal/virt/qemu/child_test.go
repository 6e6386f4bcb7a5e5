package qemu

func runChild(dir string) {}

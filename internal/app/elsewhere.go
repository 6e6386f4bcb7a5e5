//go:build !linux

package app

import (
	"context"
	"io"

	"nacre/internal/blob/files"
	"nacre/internal/image"
)

// Real hosts need Linux. What follows is never reached: complete refuses first.

// Detach starts a cloud in the background.
func Detach(context.Context, Config, []string) error { return errLinux }

// Down ends a cloud.
func Down(context.Context, Config, DownOptions) error { return errLinux }

func (cloud *Cloud) realGround(context.Context, *image.Service, *files.Store) (ground, error) {
	return ground{}, errLinux
}

func (cloud *Cloud) northGround(context.Context) (ground, error) { return ground{}, errLinux }

// RunCentral runs the central part of OVN.
func RunCentral(context.Context, string, string, io.Writer) error { return errLinux }

func (c NodeConfig) runReal(context.Context) error { return errLinux }

func newConverter() (converter, error) { return converter{}, errLinux }

func (cloud *Cloud) realImage(context.Context) (io.ReadCloser, error) { return nil, errLinux }

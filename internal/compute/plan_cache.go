package compute

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"nacre/internal/auth"
	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// cacheState is what a run keeps that has one host of an aggregate fetch one image
// ahead. Each run begins the next, so that one image at a time is on its way.
type cacheState struct {
	Aggregate Aggregate // as it was when this was asked for
	Images    []string
	Host      int // in Aggregate.Hosts
	Image     int // in Images
	Cached    []string
	Failed    []string
	By        work.Caller
}

// cacheDeadline is how long one image may take.
const cacheDeadline = time.Hour

// CacheImages has the hosts of an aggregate fetch images before any server needs
// them there. What does not come is told, and fetched when it is needed.
func (s *Service) CacheImages(ctx context.Context, caller auth.Caller, request string, id int64, images []string) error {
	_, err := s.Aggregate(ctx, id)
	if err != nil {
		return err
	}
	for _, image := range images {
		_, err := s.images.Image(ctx, caller, image)
		if errs.Is(err, errs.NotFound) {
			return errs.BadRequestf("Image %s could not be found.", image)
		}
		if err != nil {
			return err
		}
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		a, err := holdAggregate(ctx, tx, id)
		if err != nil {
			return err
		}
		state := cacheState{Aggregate: a, Images: images, By: work.Caller{User: caller.User, Project: caller.Project, Request: request}}
		err = tellCache(ctx, tx, "start", state)
		if err != nil {
			return err
		}
		if len(a.Hosts) == 0 {
			return tellCache(ctx, tx, "end", state)
		}
		return s.startCache(ctx, tx, state)
	})
}

func (s *Service) startCache(ctx context.Context, tx *db.Tx, state cacheState) error {
	_, err := work.Start(ctx, tx, s.cachePlan(), state.Aggregate.UUID, state, work.By(state.By))
	return err
}

func (s *Service) cachePlan() work.Plan[cacheState] {
	return work.Plan[cacheState]{
		Name: "aggregate.cache_images", Deadline: cacheDeadline,
		Steps: []work.Step[cacheState]{
			{Name: "fetch an image", Do: s.cacheFetch},
			{Name: "go on", Tx: s.cacheNext},
		},
		// One image that took too long does not keep the others from coming.
		Undone: func(ctx context.Context, tx *db.Tx, state *cacheState, _ error) error {
			state.note(false)
			return s.cacheNext(ctx, tx, state)
		},
	}
}

// note writes down what became of the image, once.
func (state *cacheState) note(here bool) {
	if len(state.Cached)+len(state.Failed) > state.Image {
		return
	}
	if here {
		state.Cached = append(state.Cached, state.Images[state.Image])
	} else {
		state.Failed = append(state.Failed, state.Images[state.Image])
	}
}

func (s *Service) cacheFetch(ctx context.Context, state *cacheState) error {
	host, image := state.Aggregate.Hosts[state.Host], state.Images[state.Image]
	var reply nodeapi.CacheReply
	if !s.hostUp(host) {
		reply.Problem = "the host is down"
	} else {
		raw, err := s.hosts.Ask(ctx, host, nodeapi.QueryCache, nodeapi.ImageQuery{Image: image})
		if err == nil {
			err = json.Unmarshal(raw, &reply)
		}
		_, refused := errs.As(err)
		switch {
		case refused:
			reply.Problem = err.Error()
		case err != nil:
			return fmt.Errorf("have host %s fetch image %s: %w", host, image, err)
		}
	}
	if !reply.Here && reply.Problem == "" {
		return work.NotYet("waiting for host %s to fetch image %s", host, image)
	}
	state.note(reply.Here)
	return nil
}

// cacheNext goes on to the next image or the next host.
func (s *Service) cacheNext(ctx context.Context, tx *db.Tx, state *cacheState) error {
	next := *state
	next.Image++
	if next.Image < len(next.Images) {
		return s.startCache(ctx, tx, next)
	}
	err := tellCache(ctx, tx, "progress", *state)
	if err != nil {
		return err
	}
	next.Host, next.Image, next.Cached, next.Failed = next.Host+1, 0, nil, nil
	if next.Host < len(next.Aggregate.Hosts) {
		return s.startCache(ctx, tx, next)
	}
	return tellCache(ctx, tx, "end", next)
}

// tellCache tells of the aggregate, and of the host that is through as progress.
func tellCache(ctx context.Context, tx *db.Tx, phase string, state cacheState) error {
	event := bus.Event{Topic: Topic, Type: "aggregate.cache_images." + phase, Resource: state.Aggregate.UUID, Payload: state.Aggregate}
	if phase == "progress" {
		event.Payload = state
	}
	return bus.Emit(ctx, tx, event)
}

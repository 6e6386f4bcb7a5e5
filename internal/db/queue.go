package db

import (
	"context"
	"sync"
)

type patientKey struct{}

// Patient marks what nobody is waiting for: plans, loops, reports of hosts. Where
// writers queue, a request goes before it.
func Patient(ctx context.Context) context.Context { return context.WithValue(ctx, patientKey{}, true) }

func isPatient(ctx context.Context) bool { return ctx.Value(patientKey{}) != nil }

// queue has the jobs that wait for the one writer.
type queue struct {
	mu      sync.Mutex
	filled  sync.Cond // on mu: there is a job, or there will be none
	urgent  []*job
	patient []*job
	closed  bool
}

func newQueue() *queue {
	q := &queue{}
	q.filled.L = &q.mu
	return q
}

// push adds a job and tells whether there is anybody to run it.
func (q *queue) push(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if j.patient {
		q.patient = append(q.patient, j)
	} else {
		q.urgent = append(q.urgent, j)
	}
	q.filled.Signal()
	return true
}

// first waits for a job. After the close, and after the last job, it returns nil.
func (q *queue) first() *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.urgent)+len(q.patient) == 0 && !q.closed {
		q.filled.Wait()
	}
	return q.pop(true)
}

// next returns a job that waits, or nil: a patient one only if there is time.
func (q *queue) next(time bool) *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pop(time)
}

func (q *queue) pop(time bool) *job {
	from := &q.urgent
	if len(q.urgent) == 0 {
		from = &q.patient
		if !time || len(q.patient) == 0 {
			return nil
		}
	}
	j := (*from)[0]
	(*from)[0] = nil // the array is kept
	*from = (*from)[1:]
	return j
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
}

package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ProcessOptions says what to start and how it ends.
type ProcessOptions struct {
	Name string   // for messages, such as "postgres"
	Path string   // the program, absolute or found on PATH
	Args []string // without the program's own name
	Env  []string // KEY=value; nil inherits this process's environment
	Dir  string   // working directory; empty is this process's

	LogFile string    // standard output and error are appended here, mode 0600
	Stdout  io.Writer // instead of LogFile
	Stderr  io.Writer // instead of LogFile; nil with Stdout set means the same writer
	Stdin   io.Reader

	// StopSignal asks for a graceful end; zero is SIGTERM.
	StopSignal syscall.Signal
	// OrphanSignal is what the kernel sends the process when this one dies; zero is SIGKILL. Linux only.
	OrphanSignal syscall.Signal
	// Patience is how long Stop waits before it kills; zero is ten seconds.
	Patience time.Duration
	// Family also ends what the process itself started when this process dies, even by SIGKILL.
	Family bool
	// Account runs the process as another user; only root may.
	Account *Account
}

// Account is a user of this machine.
type Account struct {
	Name     string
	UID, GID uint32
}

// Process is a running child that cannot outlive this process: its process group is stopped by Stop, and if this process
// is killed the kernel (Linux) or a guard that waits on a pipe ends it.
type Process struct {
	options ProcessOptions
	command *exec.Cmd
	guard   *guard
	log     *os.File

	done chan struct{}
	err  error

	stop sync.Once
}

// StartProcess starts a child in a process group of its own.
func StartProcess(options ProcessOptions) (*Process, error) {
	if options.StopSignal == 0 {
		options.StopSignal = syscall.SIGTERM
	}
	if options.OrphanSignal == 0 {
		options.OrphanSignal = syscall.SIGKILL
	}
	if options.Patience == 0 {
		options.Patience = 10 * time.Second
	}
	p := &Process{options: options, done: make(chan struct{})}
	p.command = exec.Command(options.Path, options.Args...)
	p.command.Dir, p.command.Env, p.command.Stdin = options.Dir, options.Env, options.Stdin
	p.command.SysProcAttr = childAttributes(options)
	// What the child itself starts may keep its output open; that must not keep Wait from returning.
	p.command.WaitDelay = 2 * time.Second
	if err := p.connectOutput(); err != nil {
		return nil, err
	}
	if err := startOnLastingThread(p.command); err != nil {
		p.closeLog()
		return nil, fmt.Errorf("starting %s: %w", options.Name, err)
	}
	if options.Family || !kernelEndsOrphans {
		watch, err := startGuard(p.command.Process.Pid)
		if err != nil {
			_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
			_ = p.command.Wait()
			p.closeLog()
			return nil, err
		}
		p.guard = watch
	}
	go p.reap()
	return p, nil
}

// runProcess runs a program to its end; doing says in an error what it was for.
func runProcess(ctx context.Context, doing string, options ProcessOptions) error {
	process, err := StartProcess(options)
	if err != nil {
		return err
	}
	select {
	case <-process.Done():
	case <-ctx.Done():
		process.Stop()
		return ctx.Err()
	}
	if process.Err() != nil {
		return fmt.Errorf("%s (%w)%s", doing, process.Err(), process.lastLines())
	}
	return nil
}

func (p *Process) connectOutput() error {
	if p.options.LogFile == "" {
		p.command.Stdout, p.command.Stderr = p.options.Stdout, p.options.Stderr
		if p.options.Stderr == nil {
			p.command.Stderr = p.options.Stdout
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(p.options.LogFile), 0o700); err != nil {
		return fmt.Errorf("making the folder for the log of %s: %w", p.options.Name, err)
	}
	log, err := os.OpenFile(p.options.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", p.options.Name, err)
	}
	p.log, p.command.Stdout, p.command.Stderr = log, log, log
	return nil
}

func (p *Process) closeLog() {
	if p.log != nil {
		_ = p.log.Close()
	}
}

func (p *Process) reap() {
	p.err = p.command.Wait()
	if p.options.Family {
		_ = p.Signal(syscall.SIGKILL)
	}
	p.guard.dismiss()
	p.closeLog()
	close(p.done)
}

// PID is the child's process ID.
func (p *Process) PID() int { return p.command.Process.Pid }

// Done is closed when the child has ended and been reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the child ended: nil for exit code 0. It is only meaningful after Done is closed.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// ExitCode is the child's exit code after Done is closed; 128 + n if signal n ended it, as a shell has it; -1 while it runs.
func (p *Process) ExitCode() int {
	select {
	case <-p.done:
	default:
		return -1
	}
	if status, ok := p.command.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.command.ProcessState.ExitCode()
}

// Signal sends a signal to the child's whole process group.
func (p *Process) Signal(signal syscall.Signal) error {
	err := syscall.Kill(-p.PID(), signal)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// Stop ends the child: the stop signal, some patience, then SIGKILL. It returns once the child is gone and is safe to
// call more than once and after the child ended by itself.
func (p *Process) Stop() {
	p.stop.Do(func() {
		select {
		case <-p.done:
			return
		default:
		}
		_ = p.Signal(p.options.StopSignal)
		patience := time.NewTimer(p.options.Patience)
		defer patience.Stop()
		select {
		case <-p.done:
		case <-patience.C:
			_ = p.Signal(syscall.SIGKILL)
		}
	})
	<-p.done
}

// Kill9 ends the child at once with SIGKILL, as a fault would, and waits until it is gone.
func (p *Process) Kill9() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// WaitUntil calls ready about every 25 ms until it returns nil, the process ends, the limit is over or ctx ends; the error
// says which, and how the process's log ends.
func (p *Process) WaitUntil(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended while starting (%w)%s", p.options.Name, orExit(p.err), p.lastLines())
		case <-ctx.Done():
			return fmt.Errorf("%s did not get ready (%w): %w%s", p.options.Name, context.Cause(ctx), err, p.lastLines())
		case <-tick.C:
		}
	}
}

func orExit(err error) error {
	if err == nil {
		return errors.New("exit code 0")
	}
	return err
}

// lastLines is the end of the log, for an error message.
func (p *Process) lastLines() string {
	if p.options.LogFile == "" {
		return ""
	}
	text, err := os.ReadFile(p.options.LogFile)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	lines = lines[max(0, len(lines)-5):]
	return fmt.Sprintf("; the end of %s:\n  %s", p.options.LogFile, strings.Join(lines, "\n  "))
}

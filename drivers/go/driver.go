// A driver (docs/drivers.md) for Go: litmus tests with os.File, each process a goroutine.
//
//	cd drivers/go && go build -o ../build/go .
//
// A method of os.File returns when its system call has: ack=complete.
package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

var flagsOfOpen = map[string]int{"append": syscall.O_APPEND, "direct": syscall.O_DIRECT, "dsync": syscall.O_DSYNC}

const (
	verbsClaim = "append,write,read,seek,statx,flush,fsync,fdatasync,truncate,allocate,punch,sync_range," +
		"drop_cache,open,clone,close,rename,unlink,notify,wait"
	atCursor    = -1 // of an offset
	page        = 4096
	keepSize    = 1 // fallocate(2)
	punchHole   = 2
	syncWaiting = 1 | 2 | 4 // sync_file_range(2): wait, write, wait
	dontNeed    = 4         // posix_fadvise(2)
)

// now is CLOCK_MONOTONIC, which time.Time has only the differences of.
func now() int64 {
	var at syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&at)), 0)
	return at.Nano()
}

// --- what is said

var (
	output     = bufio.NewWriterSize(os.Stdout, 1<<16)
	outputLock sync.Mutex
)

func say(format string, values ...any) {
	outputLock.Lock()
	defer outputLock.Unlock()
	fmt.Fprintf(output, format+"\n", values...)
}

func flush() {
	outputLock.Lock()
	defer outputLock.Unlock()
	output.Flush()
}

func giveUp(trouble any) {
	say("error %v", trouble)
	flush()
	os.Exit(1)
}

// --- the test

type handle struct {
	how   string
	of    int // which file or handle
	flags int
}

type operation struct {
	verb     string
	operands []int
}

type test struct {
	files     []string
	handles   []handle
	edges     int
	processes [][]operation
}

// readTest returns an error if it is of something that Go does not have.
func readTest(lines [][]string) (*test, error) {
	t := &test{}
	for _, words := range lines {
		switch words[0] {
		case "file":
			t.files = append(t.files, words[1])
		case "handle":
			declared := handle{how: words[1], flags: os.O_RDWR}
			flags := words[2:]
			if declared.how != "later" {
				declared.of, flags = number(words[2]), words[3:]
			}
			for _, name := range flags {
				flag, known := flagsOfOpen[name]
				if !known {
					return nil, fmt.Errorf("go has no flag %s", name)
				}
				declared.flags |= flag
			}
			t.handles = append(t.handles, declared)
		case "edge":
			t.edges++
		case "process":
			t.processes = append(t.processes, nil)
		case "op":
			if !strings.Contains(","+verbsClaim+",", ","+words[1]+",") {
				return nil, fmt.Errorf("go has no %s", words[1])
			}
			op := operation{verb: words[1]}
			for _, word := range words[2:] {
				op.operands = append(op.operands, number(word))
			}
			last := &t.processes[len(t.processes)-1]
			*last = append(*last, op)
		default:
			return nil, fmt.Errorf("go does not know the line %s", words[0])
		}
	}
	return t, nil
}

func number(word string) int {
	if word == "-" {
		return atCursor
	}
	value, err := strconv.Atoi(word)
	if err != nil {
		giveUp(err)
	}
	return value
}

// --- a round

// slot is a handle of the test, under as many names as `same` gives it.
type slot struct {
	flags int
	lock  sync.Mutex
	file  *os.File
}

// get returns the file; what is closed is known to be, and is not called.
func (s *slot) get() (*os.File, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.file == nil {
		return nil, syscall.EBADF
	}
	return s.file, nil
}

func (s *slot) put(file *os.File, err error) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.file = file
	return err
}

func (s *slot) close() error {
	file, err := s.get()
	if err != nil {
		return err
	}
	s.put(nil, nil)
	return file.Close()
}

type round struct {
	test   *test
	data   [][]byte
	prefix string
	slots  []*slot
	edges  []chan struct{} // one permit each
}

func begin(t *test, data [][]byte, prefix string) *round {
	r := &round{test: t, data: data, prefix: prefix}
	for i := 0; i < t.edges; i++ {
		r.edges = append(r.edges, make(chan struct{}, 1))
	}
	for _, declared := range t.handles {
		made := &slot{flags: declared.flags}
		var err error
		switch declared.how {
		case "open":
			err = made.put(r.open(declared.of, declared.flags))
		case "clone":
			err = made.put(r.clone(declared.of))
		case "same":
			made = r.slots[declared.of]
		}
		if err != nil {
			giveUp(err)
		}
		r.slots = append(r.slots, made)
	}
	return r
}

func (r *round) path(file int) string { return r.prefix + r.test.files[file] }

func (r *round) open(file, flags int) (*os.File, error) { return os.OpenFile(r.path(file), flags, 0) }

// clone is by hand, as os.File has no dup.
func (r *round) clone(of int) (cloned *os.File, err error) {
	file, err := r.slots[of].get()
	if err != nil {
		return nil, err
	}
	err = with(file, func(fd int) error {
		duplicate, err := syscall.Dup(fd)
		if err == nil {
			cloned = os.NewFile(uintptr(duplicate), file.Name())
		}
		return err
	})
	return cloned, err
}

// with calls what os.File does not have: the descriptor stays open meanwhile.
func with(file *os.File, call func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	if controlErr := raw.Control(func(fd uintptr) { err = call(int(fd)) }); controlErr != nil {
		return controlErr
	}
	return err
}

// aligned returns size bytes that begin with a page, as O_DIRECT wants them.
func aligned(size int) []byte {
	all := make([]byte, size+page)
	skip := -int(uintptr(unsafe.Pointer(&all[0]))) & (page - 1)
	return all[skip : skip+size]
}

// call returns an int or, of a read, the bytes.
func (r *round) call(op operation) (any, error) {
	a := op.operands
	switch op.verb {
	case "open":
		opened, err := r.open(a[1], r.slots[a[0]].flags)
		if err != nil {
			return 0, err
		}
		return 0, r.slots[a[0]].put(opened, nil)
	case "clone":
		cloned, err := r.clone(a[1])
		if err != nil {
			return 0, err
		}
		return 0, r.slots[a[0]].put(cloned, nil)
	case "close":
		return 0, r.slots[a[0]].close()
	case "rename":
		return 0, os.Rename(r.path(a[0]), r.path(a[1]))
	case "unlink":
		return 0, syscall.Unlink(r.path(a[0])) // os.Remove tries rmdir(2) too
	case "notify":
		select {
		case r.edges[a[0]] <- struct{}{}:
		default:
		}
		return 0, nil
	case "wait":
		<-r.edges[a[0]]
		return 0, nil
	}
	of := r.slots[a[0]]
	file, err := of.get()
	if err != nil {
		return 0, err
	}
	return r.callFile(file, of.flags, op.verb, a[1:])
}

func (r *round) callFile(file *os.File, flags int, verb string, a []int) (any, error) {
	switch verb {
	case "append":
		return file.Write(r.bytes(a[0], flags))
	case "write":
		if a[0] == atCursor {
			return file.Write(r.bytes(a[1], flags))
		}
		return file.WriteAt(r.bytes(a[1], flags), int64(a[0]))
	case "read":
		into := aligned(a[1])
		got := 0
		err := with(file, func(fd int) (err error) {
			// Not ReadAt: after fewer bytes than it was asked for it reads again, until it is told that the
			// file ends there, and what it returns may be of two moments.
			if a[0] == atCursor {
				got, err = syscall.Read(fd, into)
			} else {
				got, err = syscall.Pread(fd, into, int64(a[0]))
			}
			return err
		})
		return into[:max(got, 0)], err
	case "seek":
		_, err := file.Seek(int64(a[0]), 0)
		return 0, err
	case "statx":
		info, err := file.Stat()
		if err != nil {
			return 0, err
		}
		return int(info.Size()), nil
	case "flush":
		return 0, nil // os.File holds nothing back
	case "fsync":
		return 0, file.Sync()
	case "fdatasync":
		return 0, with(file, syscall.Fdatasync)
	case "truncate":
		return 0, file.Truncate(int64(a[0]))
	case "allocate":
		return 0, with(file, func(fd int) error { return syscall.Fallocate(fd, 0, int64(a[0]), int64(a[1])) })
	case "punch":
		return 0, with(file, func(fd int) error {
			return syscall.Fallocate(fd, punchHole|keepSize, int64(a[0]), int64(a[1]))
		})
	case "sync_range":
		return 0, with(file, func(fd int) error {
			return syscall.SyncFileRange(fd, int64(a[0]), int64(a[1]), syncWaiting)
		})
	case "drop_cache":
		return 0, with(file, func(fd int) error {
			_, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, uintptr(fd), 0, 0, dontNeed, 0, 0)
			if errno != 0 {
				return errno
			}
			return nil
		})
	}
	panic(verb + " is claimed, and not there")
}

func (r *round) bytes(data, flags int) []byte {
	if flags&syscall.O_DIRECT == 0 {
		return r.data[data]
	}
	copied := aligned(len(r.data[data]))
	copy(copied, r.data[data])
	return copied
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}

func told(value any, err error) string {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return strconv.Itoa(-int(errno))
	case errors.Is(err, os.ErrClosed): // by another goroutine, meanwhile
		return "~" + strconv.Itoa(int(syscall.EBADF))
	case err != nil:
		return "~"
	}
	if bytes, isRead := value.([]byte); isRead {
		return "x" + hex.EncodeToString(bytes)
	}
	return strconv.Itoa(value.(int))
}

type result struct {
	value        string
	begun, ended int64
}

func (r *round) process(operations []operation, results []result) {
	for i, op := range operations {
		begun := now()
		value := told(r.call(op))
		results[i] = result{value, begun, now()}
	}
}

// run returns the values, and the rest of the line of the round.
func (r *round) run(k int) (string, string) {
	count := len(r.test.processes)
	results := make([][]result, count)
	var running sync.WaitGroup
	began := now()
	for i := range results {
		// Which one is started first goes round: the order of the text means nothing.
		which := (k + i) % count
		operations := r.test.processes[which]
		results[which] = make([]result, len(operations))
		running.Add(1)
		go func() {
			defer running.Done()
			r.process(operations, results[which])
		}()
	}
	running.Wait()
	ended := now()
	for _, of := range r.slots {
		of.close() // nobody asks any more how it went
	}
	var values []string
	var times strings.Builder
	fmt.Fprintf(&times, "%d %d", began, ended)
	for _, ofProcess := range results {
		for _, one := range ofProcess {
			values = append(values, one.value)
			fmt.Fprintf(&times, " %d:%d", one.begun-began, one.ended-began)
		}
	}
	return strings.Join(values, " "), times.String()
}

func runBatch(t *test, data [][]byte, count int, folder string) {
	states := map[string]int{}
	for k := 0; k < count; k++ {
		values, times := begin(t, data, folder+"/"+strconv.Itoa(k)+".").run(k)
		state, known := states[values]
		if !known {
			state = len(states)
			states[values] = state
			say("state %d %s", state, values)
		}
		say("round %d %d %s", k, state, times)
	}
	say("done")
}

// --- the protocol

// readLines reads beside the rounds, of which one may never end.
func readLines(lines chan<- []string) {
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	running := false
	for {
		line, err := input.ReadString('\n')
		if err != nil {
			break
		}
		running = strings.HasPrefix(line, "run ")
		lines <- strings.Fields(line)
	}
	if running {
		os.Exit(0) // the end of the input ends a batch too
	}
	close(lines)
}

func main() {
	lines := make(chan []string)
	go readLines(lines)
	go func() {
		for range time.Tick(100 * time.Millisecond) { // the protocol allows 250
			flush()
		}
	}()
	var told *test
	data := [][]byte{}
	for words := range lines {
		switch words[0] {
		case "hello":
			say("hello 1 go %s verbs=%s flags=append,direct,dsync ack=complete cursor=positional",
				strings.TrimPrefix(runtime.Version(), "go"), verbsClaim)
		case "test":
			var all [][]string
			for words = range lines {
				if words[0] == "end" {
					break
				}
				all = append(all, words)
			}
			read, err := readTest(all)
			if err != nil {
				say("cannot %v", err)
			} else {
				told = read
				say("ready")
			}
		case "data":
			piece, err := hex.DecodeString(strings.Join(words[2:], ""))
			if err != nil {
				giveUp(err)
			}
			for len(data) <= number(words[1]) {
				data = append(data, nil)
			}
			data[number(words[1])] = piece
			continue
		case "run":
			runBatch(told, data, number(words[1]), words[2])
		default:
			giveUp("it was told " + words[0])
		}
		flush()
	}
}

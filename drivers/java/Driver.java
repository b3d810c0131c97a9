// A driver (docs/drivers.md) for Java 17: litmus tests with AsynchronousFileChannel, each process a thread that
// waits for what it has begun.
//
//     java drivers/java/Driver.java
//
// A future is there when its system call has returned: ack=complete. What the channel does not have:
//
// - appending: FileChannel has, but not beside reading, so that a handle with `append` is one of each;
// - a cursor: what is at one it cannot;
// - a truncate as ftruncate(2): its own asks for the size first, and never extends.

import com.sun.nio.file.ExtendedOpenOption;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousFileChannel;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;

public final class Driver {
  static final List<String> VERBS = List.of("append", "write", "read", "statx", "flush", "fsync", "fdatasync",
      "open", "clone", "close", "rename", "unlink", "notify", "wait");
  static final Map<String, OpenOption> FLAGS = Map.of("append", StandardOpenOption.APPEND,
      "direct", ExtendedOpenOption.DIRECT, "dsync", StandardOpenOption.DSYNC);
  static final int PAGE = 4096;
  static final ExecutorService THREADS = Executors.newCachedThreadPool(Driver::daemon);

  static Thread daemon(Runnable work) {
    Thread thread = new Thread(work);
    thread.setDaemon(true);
    return thread;
  }

  // --- what is said

  static final StringBuilder unsaid = new StringBuilder();

  static void say(String line) {
    synchronized (unsaid) {
      unsaid.append(line).append('\n');
    }
  }

  static void flush() {
    synchronized (unsaid) {
      byte[] bytes = unsaid.toString().getBytes(StandardCharsets.US_ASCII);
      unsaid.setLength(0);
      System.out.write(bytes, 0, bytes.length);
      System.out.flush();
    }
  }

  static void giveUp(Throwable trouble) {
    say("error " + trouble.toString().replace('\n', ' '));
    flush();
    Runtime.getRuntime().halt(1);
  }

  // --- the test

  static final class Cannot extends Exception {
    Cannot(String reason) {
      super("java " + reason);
    }
  }

  record Declared(String how, int of, Set<OpenOption> flags) {}

  record Operation(String verb, int[] operands) {}

  static final class Test {
    final List<String> files = new ArrayList<>();
    final List<Declared> handles = new ArrayList<>();
    final List<List<Operation>> processes = new ArrayList<>();
    int edges = 0;

    Test(List<String[]> lines) throws Cannot {
      for (String[] words : lines) {
        switch (words[0]) {
          case "file" -> files.add(words[1]);
          case "handle" -> addHandle(words[1], Arrays.asList(words).subList(2, words.length));
          case "edge" -> ++edges;
          case "process" -> processes.add(new ArrayList<>());
          case "op" -> addOperation(words[1], Arrays.asList(words).subList(2, words.length));
          default -> throw new Cannot("does not know the line " + words[0]);
        }
      }
    }

    void addHandle(String how, List<String> rest) throws Cannot {
      boolean later = how.equals("later");
      Set<OpenOption> flags = new HashSet<>();
      for (String flag : later ? rest : rest.subList(1, rest.size())) {
        if (!FLAGS.containsKey(flag)) throw new Cannot("has no flag " + flag);
        flags.add(FLAGS.get(flag));
      }
      handles.add(new Declared(how, later ? 0 : Integer.parseInt(rest.get(0)), flags));
    }

    void addOperation(String verb, List<String> rest) throws Cannot {
      if (!VERBS.contains(verb)) throw new Cannot("has no " + verb);
      if (rest.contains("-")) throw new Cannot("has no cursor in an AsynchronousFileChannel");
      int[] operands = rest.stream().mapToInt(Integer::parseInt).toArray();
      processes.get(processes.size() - 1).add(new Operation(verb, operands));
    }
  }

  // --- handles

  /** What clones share, as Java cannot dup: the last one to give it up closes it. */
  static final class Channels {
    final AsynchronousFileChannel channel;
    final FileChannel appending; // or null
    final boolean direct;
    int users = 1;

    Channels(Path path, Set<OpenOption> flags) throws IOException {
      Set<OpenOption> options = new HashSet<>(flags);
      direct = flags.contains(ExtendedOpenOption.DIRECT);
      appending = flags.contains(StandardOpenOption.APPEND) ? FileChannel.open(path, flags) : null;
      options.remove(StandardOpenOption.APPEND);
      options.addAll(List.of(StandardOpenOption.READ, StandardOpenOption.WRITE));
      channel = AsynchronousFileChannel.open(path, options, null);
    }

    /** Begins with a page, as O_DIRECT wants it. */
    ByteBuffer buffer(int size) {
      return direct ? ByteBuffer.allocateDirect(size + PAGE).alignedSlice(PAGE).limit(size)
                    : ByteBuffer.allocate(size);
    }

    ByteBuffer filled(byte[] data) {
      return direct ? buffer(data.length).put(data).flip() : ByteBuffer.wrap(data);
    }

    int append(byte[] data) throws IOException {
      for (ByteBuffer rest = filled(data); rest.hasRemaining();) appending.write(rest);
      return data.length;
    }

    int write(long offset, byte[] data) throws Exception {
      for (ByteBuffer rest = filled(data); rest.hasRemaining();) {
        channel.write(rest, offset + rest.position()).get();
      }
      return data.length;
    }

    byte[] read(long offset, int size) throws Exception {
      ByteBuffer into = buffer(size);
      channel.read(into, offset).get(); // or -1, at the end
      byte[] bytes = new byte[into.flip().remaining()];
      into.get(bytes);
      return bytes;
    }

    void sync(boolean metadata) throws IOException {
      if (appending != null) appending.force(metadata);
      else channel.force(metadata);
    }

    void close() throws IOException {
      if (appending != null) appending.close();
      channel.close();
    }
  }

  static final class Closed extends IOException {}

  /** A handle of the test, under as many names as `same` gives it. */
  static final class Slot {
    final Set<OpenOption> flags;
    private Channels channels = null;

    Slot(Set<OpenOption> flags) {
      this.flags = flags;
    }

    /** What is closed is known to be, and is not called. */
    synchronized Channels get() throws Closed {
      if (channels == null) throw new Closed();
      return channels;
    }

    synchronized void open(Path path) throws IOException {
      channels = null;
      channels = new Channels(path, flags);
    }

    void cloneOf(Slot other) throws Closed {
      Channels shared = other.get();
      synchronized (shared) {
        ++shared.users;
      }
      synchronized (this) {
        channels = shared;
      }
    }

    void close() throws IOException {
      Channels closed;
      synchronized (this) {
        closed = get();
        channels = null;
      }
      boolean last;
      synchronized (closed) {
        last = --closed.users == 0;
      }
      if (last) closed.close();
    }
  }

  // --- a round

  static final class Edge {
    private boolean permit = false;

    synchronized void give() {
      permit = true;
      notify();
    }

    synchronized void take() throws InterruptedException {
      while (!permit) wait();
      permit = false;
    }
  }

  record Result(String value, long begun, long ended) {}

  static final class Round {
    final Test test;
    final Map<Integer, byte[]> data;
    final String prefix;
    final List<Slot> slots = new ArrayList<>();
    final List<Edge> edges = new ArrayList<>();
    List<Result> results;
    long began;
    long ended;

    Round(Test test, Map<Integer, byte[]> data, String prefix) throws IOException {
      this.test = test;
      this.data = data;
      this.prefix = prefix;
      for (int i = 0; i < test.edges; ++i) edges.add(new Edge());
      for (Declared handle : test.handles) {
        Slot slot = handle.how.equals("same") ? slots.get(handle.of) : new Slot(handle.flags);
        slots.add(slot);
        if (handle.how.equals("open")) slot.open(path(handle.of));
        if (handle.how.equals("clone")) slot.cloneOf(slots.get(handle.of));
      }
    }

    Path path(int file) {
      return Path.of(prefix + test.files.get(file));
    }

    /** A number, or of a read the bytes. */
    Object call(String verb, int[] a) throws Exception {
      switch (verb) {
        case "open" -> slots.get(a[0]).open(path(a[1]));
        case "clone" -> slots.get(a[0]).cloneOf(slots.get(a[1]));
        case "close" -> slots.get(a[0]).close();
        case "rename" -> Files.move(path(a[0]), path(a[1]), StandardCopyOption.ATOMIC_MOVE); // rename(2)
        case "unlink" -> Files.delete(path(a[0]));
        case "notify" -> edges.get(a[0]).give();
        case "wait" -> edges.get(a[0]).take();
        default -> {
          return callChannel(slots.get(a[0]).get(), verb, a);
        }
      }
      return 0;
    }

    Object callChannel(Channels channels, String verb, int[] a) throws Exception {
      switch (verb) {
        case "append": return channels.append(data.get(a[1]));
        case "write": return channels.write(a[1], data.get(a[2]));
        case "read": return channels.read(a[1], a[2]);
        case "statx": return channels.channel.size();
        case "flush": break; // nothing is held back
        case "fsync": channels.sync(true); break;
        case "fdatasync": channels.sync(false); break;
        default: throw new IllegalStateException(verb);
      }
      return 0;
    }

    List<Result> process(List<Operation> operations) {
      List<Result> all = new ArrayList<>();
      for (Operation operation : operations) {
        long begun = System.nanoTime(); // CLOCK_MONOTONIC on Linux
        String value;
        try {
          value = told(call(operation.verb, operation.operands));
        } catch (Exception error) {
          value = toldFailure(error);
        }
        all.add(new Result(value, begun, System.nanoTime()));
      }
      return all;
    }

    void run(int number) throws Exception {
      int count = test.processes.size();
      List<Future<List<Result>>> running = new ArrayList<>(java.util.Collections.nCopies(count, null));
      began = System.nanoTime();
      for (int i = 0; i < count; ++i) {
        // Which one is started first goes round: the order of the text means nothing.
        int which = (number + i) % count;
        running.set(which, THREADS.submit(() -> process(test.processes.get(which))));
      }
      results = new ArrayList<>();
      for (Future<List<Result>> process : running) results.addAll(process.get());
      ended = System.nanoTime();
      for (Slot slot : slots) {
        try {
          slot.close();
        } catch (IOException error) {
          // It was closed, or nobody asks any more.
        }
      }
    }
  }

  static String told(Object value) {
    return value instanceof byte[] bytes ? "x" + HexFormat.of().formatHex(bytes) : value.toString();
  }

  /** An exception of Java has a kind, and in its text strerror(3)'s; the errno itself is lost. */
  static String toldFailure(Exception error) {
    Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
    if (cause instanceof Closed) return "-9";
    if (cause instanceof ClosedChannelException) return "~9"; // by another thread, meanwhile
    if (cause instanceof NoSuchFileException) return "~2";
    if (cause instanceof AccessDeniedException) return "~13";
    String text = cause instanceof FileSystemException named ? named.getReason() : cause.getMessage();
    if (text == null) return "~";
    return switch (text) {
      case "Input/output error" -> "~5";
      case "Bad file descriptor" -> "~9";
      case "Cannot allocate memory" -> "~12";
      case "Invalid argument" -> "~22";
      case "File too large" -> "~27";
      case "No space left on device" -> "~28";
      case "Read-only file system" -> "~30";
      case "Disk quota exceeded" -> "~122";
      default -> "~";
    };
  }

  static void runBatch(Test test, Map<Integer, byte[]> data, int count, String folder) throws Exception {
    Map<String, Integer> states = new HashMap<>();
    for (int k = 0; k < count; ++k) {
      Round round = new Round(test, data, folder + "/" + k + ".");
      round.run(k);
      StringBuilder values = new StringBuilder();
      StringBuilder times = new StringBuilder();
      for (Result result : round.results) {
        values.append(' ').append(result.value);
        times.append(' ').append(result.begun - round.began).append(':').append(result.ended - round.began);
      }
      Integer state = states.get(values.toString());
      if (state == null) {
        state = states.size();
        states.put(values.toString(), state);
        say("state " + state + values);
      }
      say("round " + k + " " + state + " " + round.began + " " + round.ended + times);
    }
    say("done");
  }

  // --- the protocol

  /** Reads beside the rounds, of which one may never end. An empty line is the end. */
  static void readLines(BlockingQueue<String> lines) {
    try {
      var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII), 1 << 20);
      boolean running = false;
      for (String line = input.readLine(); line != null; line = input.readLine()) {
        running = line.startsWith("run ");
        lines.put(line);
      }
      if (running) Runtime.getRuntime().halt(0); // the end of the input ends a batch too
      lines.put("");
    } catch (IOException | InterruptedException error) {
      giveUp(error);
    }
  }

  static void keepSaying() {
    try {
      for (;; Thread.sleep(100)) flush(); // the protocol allows 250
    } catch (InterruptedException error) {
      giveUp(error);
    }
  }

  static void serve(BlockingQueue<String> lines) throws Exception {
    Test test = null;
    Map<Integer, byte[]> data = new HashMap<>();
    for (String line = lines.take(); !line.isEmpty(); line = lines.take()) {
      String[] words = line.split(" ");
      switch (words[0]) {
        case "hello" -> say("hello 1 java " + Runtime.version().feature() + "." + Runtime.version().interim() + "."
            + Runtime.version().update() + " verbs=" + String.join(",", VERBS)
            + " flags=append,direct,dsync ack=complete cursor=positional");
        case "test" -> {
          List<String[]> all = new ArrayList<>();
          for (line = lines.take(); !line.equals("end"); line = lines.take()) all.add(line.split(" "));
          try {
            test = new Test(all);
            say("ready");
          } catch (Cannot reason) {
            say("cannot " + reason.getMessage());
          }
        }
        case "data" -> data.put(Integer.parseInt(words[1]),
            words.length > 2 ? HexFormat.of().parseHex(words[2]) : new byte[0]);
        case "run" -> runBatch(test, data, Integer.parseInt(words[1]), words[2]);
        default -> throw new IOException("it was told " + words[0]);
      }
      if (!words[0].equals("data")) flush();
    }
  }

  public static void main(String[] arguments) {
    BlockingQueue<String> lines = new LinkedBlockingQueue<>();
    daemon(() -> readLines(lines)).start();
    daemon(Driver::keepSaying).start();
    try {
      serve(lines);
    } catch (Exception error) {
      giveUp(error);
    }
    System.exit(0);
  }
}

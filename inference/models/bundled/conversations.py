"""What the bundled model is taught to say in a chat: written turns and questions on subjects."""

import random
from dataclasses import dataclass

from inference.models.bundled import corpus, scaling_sentences


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a user and its answer."""

    question: str
    answer: str
    is_scaling: bool = False


ASKING = (
    *("What is {}?",) * 3,
    "What's {}?",
    "What does {} mean?",
    "Explain {}.",
    "Define {}.",
    "Tell me about {}.",
    "{}",
)
ASKING_TOPIC = (*ASKING, "What are {}?", "Describe {}.", "How does {} work?")
ASKING_LIBRARY = (*ASKING, "What does {} do?", "What does {} do?", "Describe {}.")

TERMS: dict[tuple[str, ...], str] = {
    ("Warmfront", "the Warmfront project"): (
        "Warmfront forecasts the demand for GPU inference and keeps just enough replicas warm "
        "to meet it."
    ),
    ("a warm pool", "the warm pool", "warm pool"): (
        "A warm pool is a set of replicas of one model that have their weights loaded, so that "
        "new traffic need not wait for a cold start."
    ),
    ("a cold start", "cold start", "cold starts"): (
        "A cold start is the time from asking for a new replica until it serves: a node is "
        "found, an image is pulled and the weights are loaded. It takes minutes."
    ),
    ("a replica", "replica", "replicas"): (
        "A replica is one running copy of a model. More replicas carry more requests."
    ),
    ("a standby replica", "standby replica", "standby", "a standby"): (
        "A standby replica has its weights loaded but takes no traffic. It can start to serve "
        "within seconds."
    ),
    ("a serving replica", "serving"): (
        "A serving replica has its weights loaded and takes traffic."
    ),
    ("draining", "a draining replica", "drain"): (
        "A draining replica takes no new requests and finishes those it has. Then it stops."
    ),
    ("a pool", "pool", "a replica pool"): (
        "A pool is all replicas of one model on one kind of device."
    ),
    ("TTFT", "time to first token", "the time to first token"): (
        "TTFT is the time to first token: how long a user waits from sending a request until "
        "the first token of the answer arrives."
    ),
    ("TPOT", "time per output token", "the time per output token"): (
        "TPOT is the time per output token: the mean time between the tokens of an answer "
        "after the first one."
    ),
    ("ITL", "inter-token latency", "the inter-token latency"): (
        "ITL is the inter-token latency: the time between one token of an answer and the next."
    ),
    ("a token", "token", "tokens"): (
        "A token is a short piece of text, such as a word or a part of one. A model reads and "
        "writes tokens."
    ),
    ("the KV cache", "KV cache", "a KV cache"): (
        "The KV cache holds the keys and values of all tokens so far, so that each new token "
        "needs only one pass of the model."
    ),
    ("a KV block", "KV block", "KV blocks"): (
        "A KV block is a fixed number of token slots in the KV cache. Requests take and return "
        "whole blocks."
    ),
    ("the prefix cache", "prefix cache", "prefix caching"): (
        "The prefix cache keeps the KV blocks of earlier prompts, so that a prompt with the same "
        "beginning skips that part of the prefill."
    ),
    ("prefill", "the prefill", "the prefill phase"): (
        "Prefill is the first phase of a request: the model reads the whole prompt at once and "
        "fills the KV cache."
    ),
    ("decode", "decoding", "the decode phase"): (
        "Decode is the second phase of a request: the model writes the answer one token at a time."
    ),
    ("continuous batching", "a continuous batch"): (
        "Continuous batching lets requests join and leave the running batch after every token, "
        "so that the GPU stays busy and nobody waits for the longest answer."
    ),
    ("a batch", "batching", "batch"): (
        "A batch is a group of requests that the model computes together. A larger batch gives "
        "more tokens per second but slower ones."
    ),
    ("preemption", "preempting a request"): (
        "Preemption takes the KV blocks of a running request for another one. The preempted "
        "request waits and is computed again later."
    ),
    ("an autoscaler", "autoscaling", "the autoscaler", "autoscaler"): (
        "An autoscaler changes the number of replicas to match the demand. Warmfront does so "
        "ahead of time, from a forecast."
    ),
    ("a forecast", "forecast", "forecasting"): (
        "A forecast says what demand is expected at a later time, with a band of values that "
        "it believes in."
    ),
    ("the lead time", "lead time"): (
        "The lead time runs from deciding on a new replica until that replica serves. A "
        "forecast has to look at least that far ahead."
    ),
    ("the horizon", "a forecast horizon", "horizon"): (
        "The horizon is how far ahead a forecast looks."
    ),
    ("a backtest", "backtest", "backtesting"): (
        "A backtest runs a forecaster over past demand and compares what it said with what "
        "then happened."
    ),
    ("headroom", "the headroom"): (
        "Headroom is capacity kept free above the forecast, for demand that nobody foresaw."
    ),
    ("capacity", "the capacity of a replica"): (
        "The capacity of a replica is how many requests per second it carries within its "
        "latency target."
    ),
    ("an anomaly", "anomaly", "anomalies"): (
        "An anomaly is a reading that the forecast did not expect. Warmfront can raise an alert "
        "on it."
    ),
    ("a GPU", "GPU", "GPUs"): (
        "A GPU is a processor for many small computations at once. Language models run on it "
        "because they are mostly large matrix products."
    ),
    ("GPU utilization", "the GPU utilization", "GPU utilisation"): (
        "GPU utilization is the share of time in which the GPU had work. It says little about "
        "how much of the GPU that work used."
    ),
    ("RPS", "rps", "requests per second"): (
        "RPS means requests per second. It is the usual measure of demand."
    ),
    ("an SLO", "SLO", "a service level objective"): (
        "An SLO is a service level objective: a promise such as that 99 percent of requests get "
        "their first token within one second."
    ),
    ("P99", "p99 latency", "the 99th percentile"): (
        "P99 is the 99th percentile: 99 percent of requests are faster than this, and one "
        "percent are slower."
    ),
    ("a quantile", "quantile", "quantiles"): (
        "A quantile is a value that a given share of all values lies below. The median is the "
        "quantile of one half."
    ),
    ("Prometheus",): (
        "Prometheus collects metrics over time and raises alerts on them. Warmfront reads demand "
        "from it and writes its own metrics to it."
    ),
    ("Kubernetes",): (
        "Kubernetes runs containers on a cluster of machines. Warmfront sets the number of "
        "replicas that it runs."
    ),
    ("a language model", "language model", "an LLM", "LLM", "LLMs"): (
        "A language model predicts the next token of a text. Taken one token after another, its "
        "predictions make an answer."
    ),
    ("scale to zero", "scaling to zero"): (
        "Scaling to zero stops the last replica when there is no demand. It is cheap, but the "
        "next request meets a cold start."
    ),
    ("quantization", "quantisation", "a quantized model"): (
        "Quantization stores the weights of a model in fewer bits. The model gets smaller and "
        "faster, and a little less exact."
    ),
    ("the queue", "queue depth", "the queue depth"): (
        "The queue holds requests that wait for a place in the batch. A growing queue means that "
        "the replicas carry too little."
    ),
    ("streaming", "a streamed answer"): (
        "Streaming sends each token of an answer as soon as it is written, so that the user can "
        "start to read."
    ),
    ("temperature", "the temperature", "sampling temperature"): (
        "The temperature says how freely a model picks its next token. At zero it always picks "
        "the likeliest one."
    ),
}

WRITTEN: dict[tuple[str, ...], str] = {
    ("Hello", "Hello!", "Hi", "Hi!", "Hey", "Hey there", "Hello there!", "Hi there"): (
        "Hello! I am the small model that ships with Warmfront. Give me a forecast and a "
        "capacity, and I will say how to scale."
    ),
    ("Good morning", "Good morning!", "Good evening", "Good afternoon", "Good day"): (
        "Good day! Give me a forecast and a capacity, and I will say how to scale."
    ),
    ("How are you?", "How are you doing?", "How is it going?", "Are you there?"): (
        "I am warm and ready to serve. What would you like to know?"
    ),
    (
        "Who are you?",
        "What are you?",
        "What is your name?",
        "Introduce yourself.",
        "What model is this?",
        "Which model are you?",
    ): (
        "I am the small language model that ships with Warmfront. I have about two million "
        "parameters and was trained on a CPU."
    ),
    (
        "What can you do?",
        "Help",
        "help",
        "What do you know?",
        "How can you help me?",
        "What can I ask you?",
    ): (
        "I explain scaling decisions from their numbers, answer a few questions on inference, "
        "and recite some of the Python documentation. I know nothing else."
    ),
    ("Thanks", "Thank you", "Thank you!", "Thanks!", "Thanks a lot."): "You are welcome.",
    ("Goodbye", "Bye", "Bye!", "Goodbye!", "See you"): "Goodbye! I will stay warm.",
    ("How were you trained?", "Who trained you?", "How do you work?", "Where do you come from?"): (
        "The Warmfront project trained me from scratch on a CPU, on scaling decisions and on "
        "the documentation of Python."
    ),
    ("Tell me a joke.", "Tell me a joke", "Make me laugh.", "Say something funny."): (
        "Why did the replica stay up all night? It was afraid of a cold start."
    ),
    ("Say something.", "Test", "test", "Testing", "ping", "Ping", "Say this is a test"): (
        "This is a test, and it works: the replica is warm."
    ),
    (
        "What does Warmfront do?",
        "How does Warmfront work?",
        "Why should I use Warmfront?",
        "What is this project?",
    ): (
        "Warmfront reads the demand, forecasts it past the time that a new replica takes to "
        "start, and sets the number of replicas that the forecast needs."
    ),
    (
        "What is the capital of France?",
        "Who won the world cup?",
        "Write a poem.",
        "Write a story about a dragon.",
        "What is the weather today?",
        "Translate this to French.",
        "Who is the president?",
        "What is the meaning of life?",
        "How old is the universe?",
        "Write a program.",
        "Fix my code.",
        "What time is it?",
        "Where is Berlin?",
        "How many people live in Japan?",
        "What is love?",
        "Who wrote Hamlet?",
        "Recommend a film.",
        "What should I eat?",
        "Summarize this article.",
        "What is 2 + 2?",
        "How far is the moon?",
        "Why is the sky blue?",
        "Can you help me with my homework?",
        "Plan a trip to Rome.",
    ): (
        "I do not know that. I am a very small model: I explain scaling decisions and recite "
        "some of the Python documentation."
    ),
    (
        "Why keep replicas warm?",
        "Why do we need warm replicas?",
        "Why not scale on demand?",
        "Why does Warmfront keep replicas warm?",
    ): (
        "Because a cold start takes minutes and users wait only seconds. A warm replica can "
        "serve at once."
    ),
    (
        "Why forecast demand?",
        "Why does Warmfront forecast demand?",
        "Why do we need a forecast?",
    ): (
        "Because a new replica takes minutes to start. Whoever waits for the load to arrive "
        "scales too late."
    ),
    ("When does Warmfront scale up?", "When do you scale up?", "When should I scale up?"): (
        "Warmfront scales up when the replicas that run cannot carry the forecast demand."
    ),
    ("When does Warmfront scale down?", "When do you scale down?", "When should I scale down?"): (
        "Warmfront scales down when fewer replicas carry the forecast demand and the last "
        "raise is long enough ago."
    ),
    (
        "How do I ask for a scaling decision?",
        "How do I ask you to scale?",
        "Give me an example.",
        "Show me an example.",
        "What does a scaling prompt look like?",
    ): (
        "Write the numbers like this: forecast 58 rps, capacity 16 rps per replica, 3 replicas, "
        "limit 8"
    ),
    (
        "What is the difference between TTFT and TPOT?",
        "TTFT versus TPOT",
        "Compare TTFT and TPOT.",
    ): ("TTFT is how long the first token takes; TPOT is how long each later token takes."),
    (
        "What is the difference between prefill and decode?",
        "Compare prefill and decode.",
        "Prefill versus decode",
    ): (
        "Prefill reads the whole prompt at once and is bound by computation; decode writes one "
        "token at a time and is bound by memory."
    ),
    (
        "Which digit is this?",
        "What number do you see?",
        "Read this digit.",
        "What do you see?",
        "What is in this image?",
        "Can you read digits?",
        "Can you see images?",
    ): "Show me an image of one handwritten digit, and I name it.",
    ("What happens when a replica drains?", "What happens when a replica is draining?"): (
        "It takes no new requests, finishes those it has, and then stops."
    ),
}


class Repertoire:
    """All that the model may be asked, with one way to draw a turn of each kind."""

    def __init__(self) -> None:
        self.topics = corpus.topic_subjects()
        self.library = corpus.library_subjects()

    def scaling(self, rng: random.Random) -> Turn:
        """A scaling decision that is not held out."""
        case = scaling_sentences.lesson(rng)
        return Turn(case.prompt, case.sentence, is_scaling=True)

    def written(self, rng: random.Random) -> Turn:
        """Small talk, or a question on Warmfront."""
        questions, answer = rng.choice(tuple(WRITTEN.items()))
        return Turn(loosely(rng.choice(questions), rng), answer)

    def term(self, rng: random.Random) -> Turn:
        """A term of GPU inference."""
        names, answer = rng.choice(tuple(TERMS.items()))
        return Turn(loosely(rng.choice(ASKING).format(rng.choice(names)), rng), answer)

    def topic(self, rng: random.Random) -> Turn:
        """A topic of the Python language reference."""
        return ask(rng.choice(self.topics), ASKING_TOPIC, rng)

    def summary(self, rng: random.Random) -> Turn:
        """An object of the standard library."""
        return ask(rng.choice(self.library), ASKING_LIBRARY, rng)


def ask(subject: corpus.Subject, asking: tuple[str, ...], rng: random.Random) -> Turn:
    """One of the questions that the subject answers."""
    question = rng.choice(asking).format(rng.choice(subject.names))
    return Turn(loosely(question, rng), subject.answer)


def loosely(question: str, rng: random.Random) -> str:
    """The question as people type it: sometimes in lower case or without its last mark."""
    if rng.random() < 0.3:
        question = question.lower()
    if rng.random() < 0.2:
        question = question.rstrip("?.!")
    if rng.random() < 0.3:
        question = question[:1].upper() + question[1:]
    return question

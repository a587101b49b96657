// openai and ai (with @ai-sdk/openai-compatible) from npm: chats, streams, forms, responses, errors; one JSON document.
// Usage: clients.mjs URL MODEL
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, streamObject, streamText } from "ai";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const [url, model] = process.argv.slice(2);
const said = { openai: {}, ai: {} };
const story = [{ role: "user", content: "Tell me a story." }];
const who = [{ role: "user", content: "Who are you?" }];
const sum = [{ role: "user", content: "What is 123 times 45?" }];
const pet = [{ role: "user", content: "Tell me about a pet." }];
const Pet = z.object({ name: z.string().max(12), age: z.number().int().min(0).max(99) });

// openai
{
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, timeout: 60_000 });
  const seeded = { model, messages: story, max_tokens: 40, temperature: 0.8, top_p: 0.95, seed: 7, top_k: 30 };
  const greedy = { model, messages: who, max_tokens: 60, temperature: 0 };
  const out = said.openai;
  const answer = await client.chat.completions.create(seeded);
  out.text = answer.choices[0].message.content;
  out.usage = answer.usage;
  out.chunks = "";
  for await (const chunk of await client.chat.completions.create({ ...seeded, stream: true })) {
    out.chunks += chunk.choices[0]?.delta?.content ?? "";
  }
  const stream = client.chat.completions.stream({ ...seeded, stream_options: { include_usage: true } });
  out.helper = "";
  stream.on("content", (delta) => { out.helper += delta; });
  const final = await stream.finalChatCompletion();
  out.helper_final = final.choices[0].message.content;
  out.helper_usage = await stream.totalUsage();
  const parsed = await client.chat.completions.parse({
    model, messages: pet, max_tokens: 120, temperature: 0, response_format: zodResponseFormat(Pet, "pet") });
  out.parsed = parsed.choices[0].message.parsed;
  const calculated = await client.chat.completions.create({ ...greedy, messages: sum });
  out.calls = calculated.choices[0].message.tool_calls;
  out.sum = calculated.choices[0].message.content;
  const called = await client.chat.completions.stream({ ...greedy, messages: sum }).finalChatCompletion();
  out.stream_calls = called.choices[0].message.tool_calls;
  out.completion = (await client.completions.create({
    model, prompt: "Once upon a time", max_tokens: 20, temperature: 0 })).choices[0].text;
  const response = { model, input: "Who are you?", temperature: 0, max_output_tokens: 60 };
  out.response = (await client.responses.create(response)).output_text;
  const events = client.responses.stream(response);
  out.response_helper = "";
  events.on("response.output_text.delta", (event) => { out.response_helper += event.delta; });
  out.response_final = (await events.finalResponse()).output_text;
  out.models = [];
  for await (const entry of client.models.list()) out.models.push(entry.id);
  try {
    await client.chat.completions.create({ ...greedy, temperature: -1 });
  } catch (error) {
    out.error = { name: error.constructor.name, status: error.status, param: error.param, type: error.type };
  }
  const left = await client.chat.completions.create({
    ...greedy, max_tokens: 450, temperature: 1, ignore_eos: true, stream: true });
  for await (const chunk of left) {
    if (chunk.choices[0]?.delta?.content) break;
  }
  out.left = true;
}

// ai, without a key
{
  const nano = createOpenAICompatible({
    name: "nano", baseURL: `${url}/v1`, includeUsage: true, supportsStructuredOutputs: true });
  const seeded = { model: nano(model), messages: story, maxOutputTokens: 40, temperature: 0.8, topP: 0.95, seed: 7,
    maxRetries: 0, providerOptions: { nano: { top_k: 30 } } };
  const greedy = { model: nano(model), messages: who, maxOutputTokens: 60, temperature: 0, maxRetries: 0 };
  const out = said.ai;
  const answer = await generateText(seeded);
  out.text = answer.text;
  out.usage = answer.usage;
  out.finish = answer.finishReason;
  const stream = streamText(seeded);
  out.stream = "";
  for await (const text of stream.textStream) out.stream += text;
  out.stream_usage = await stream.usage;
  out.stream_finish = await stream.finishReason;
  out.stop = (await generateText({ ...greedy, stopSequences: ["trained"] })).text;
  out.turns = (await generateText({ ...greedy, system: "Be brief.", messages: [
    { role: "user", content: [{ type: "text", text: "Hello" }] },
    { role: "assistant", content: "Hello! How can I help you today?" }, ...who] })).text;
  out.object = (await generateObject({
    ...greedy, messages: pet, maxOutputTokens: 120, schema: Pet })).object;
  const objects = streamObject({ ...greedy, messages: pet, maxOutputTokens: 120, schema: Pet });
  for await (const partial of objects.partialObjectStream) out.partial = partial;
  out.stream_object = await objects.object;
  out.completion = (await generateText({
    ...greedy, model: nano.completionModel(model), messages: undefined, prompt: "Once upon a time",
    maxOutputTokens: 20 })).text;
  try {
    await generateText({ ...greedy, model: nano("gpt-none") });
  } catch (error) {
    out.error = { name: error.name, status: error.statusCode, message: error.message };
  }
  const controller = new AbortController();
  const left = streamText({ ...greedy, messages: story, maxOutputTokens: 450, temperature: 1,
    providerOptions: { nano: { ignore_eos: true } }, abortSignal: controller.signal, onError() {} });
  for await (const part of left.fullStream) {
    if (part.type === "text-delta") break;
  }
  controller.abort();
  out.left = true;
}
process.stdout.write(JSON.stringify(said));

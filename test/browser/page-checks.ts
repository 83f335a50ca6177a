/** What holds for every page: it can be read, fits a phone, and has a name for everything one can press. */
import type { Page } from "playwright-core";

export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

/** Every control has a name, every field a label, nothing has an ID twice, and the language is told. */
export async function unnamed(page: Page): Promise<string[]> {
  return await page.evaluate(() => {
    const nameOf = (element: Element): string =>
      element.getAttribute("aria-label") ??
      (element.id === "" ? "" : (document.querySelector(`label[for="${element.id}"]`)?.textContent ?? "")) +
        (element.textContent ?? "") +
        (element.getAttribute("alt") ?? "");
    const faults = [...document.querySelectorAll("button, a, input, select, img, video, audio, iframe, dialog, [role=progressbar]")]
      .filter((element) => nameOf(element).trim() === "")
      .map((element) => element.outerHTML);
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    faults.push(...ids.filter((id, index) => ids.indexOf(id) !== index));
    if (document.documentElement.lang === "") faults.push("no language");
    return faults;
  });
}

/** Letters against what is behind them, as WCAG counts it; the worst of the page. */
export async function worstContrast(page: Page): Promise<{ readonly ratio: number; readonly text: string }> {
  return await page.evaluate(() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
    const colour = (text: string): number[] => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = (channels: number[]): number => {
      const [red = 0, green = 0, blue = 0] = channels.map((value) =>
        value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4,
      );
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const behind = (element: Element | null): number[] => {
      for (let at = element; at !== null; at = at.parentElement) {
        const found = colour(getComputedStyle(at).backgroundColor);
        if ((found[3] ?? 0) > 250) return found;
      }
      return [255, 255, 255, 255];
    };
    let worst = { ratio: 21, text: "" };
    for (const element of document.querySelectorAll("body *")) {
      const own = [...element.childNodes]
        .filter(({ nodeType }) => nodeType === Node.TEXT_NODE)
        .map(({ textContent }) => textContent?.trim())
        .join("");
      if (own === "" || element.closest("[disabled], noscript, .unseen") !== null || !element.checkVisibility()) continue;
      const [one, other] = [light(colour(getComputedStyle(element).color)), light(behind(element))].sort((left, right) => right - left) as [
        number,
        number,
      ];
      const ratio = (one + 0.05) / (other + 0.05);
      if (ratio < worst.ratio) worst = { ratio, text: own };
    }
    return worst;
  });
}

export const sidewaysPixels = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
